# Says of a coverage profile which share of each package was reached, and which functions have most that was not:
# awk -f tools/reached.awk <(go tool cover -func PROFILE) PROFILE. Of blocks that are there twice the best counts.
FNR == 1 { file++ }
file == 1 && $1 ~ /:[0-9]+:$/ {
	n = split($1, at, ":")
	starts[at[1]] = starts[at[1]] " " at[2]
	name[at[1] ":" at[2]] = $2
}
file == 2 && !/^mode:/ {
	if (!($1 in size)) { order[++blocks] = $1; size[$1] = $2 }
	if ($3 > hits[$1]) hits[$1] = $3
}
END {
	for (i = 1; i <= blocks; i++) {
		block = order[i]
		path = block; sub(/:.*/, "", path)
		line = block; sub(/^[^:]*:/, "", line); sub(/\..*/, "", line)
		package = path; sub(/\/[^\/]*$/, "", package); sub(/^.*\/slotsync\/slotsync\//, "", package)
		all[package] += size[block]; total += size[block]
		if (hits[block] > 0) { reached[package] += size[block]; done += size[block]; continue }
		first = 0
		n = split(starts[path], lines, " ")
		for (k = 1; k <= n; k++) if (lines[k] + 0 <= line + 0 && lines[k] + 0 > first) first = lines[k] + 0
		short = path; sub(/^.*\/slotsync\/slotsync\//, "", short)
		missing[short ":" first " " name[path ":" first]] += size[block]
	}
	for (p in all) printf "%5.1f %% of %d statements of %s\n", 100 * reached[p] / all[p], all[p], p | "sort -k6"
	close("sort -k6")
	if (total) printf "%5.1f %% of %d statements of all of them\n", 100 * done / total, total
	for (f in missing) printf "%4d statements not reached: %s\n", missing[f], f | "sort -k1,1nr -k5 | head -25"
	close("sort -k1,1nr -k5 | head -25")
}
