package main

import "strings"

// alert links the entry of an alert in the runbook.
func alert(name string) string {
	return "[" + name + "](runbook.md#" + strings.ToLower(name) + ")"
}

// advice says of each series when somebody looks at it.
func advice() map[string]string {
	return map[string]string{
		"slotsync_audit_write_errors_total":              alert("SlotsyncAuditNotWritten"),
		"slotsync_build_info":                            "which release runs where, as after an upgrade",
		"slotsync_commands_total":                        "`refused` grows: `slotsync explain` shows the reply. Else it is the work that changes make",
		"slotsync_config_last_reload_successful":         alert("SlotsyncConfigNotLoaded"),
		"slotsync_conflict_slots":                        alert("SlotsyncConflict"),
		"slotsync_drift_corrections_total":               "it grows: somebody or something else writes to the slots; the log names them",
		"slotsync_endpoints_rejected_total":              "which entries of a source are no endpoints, and why; those of now: " + alert("SlotsyncRejected"),
		"slotsync_external_held":                         alert("SlotsyncExternal"),
		"slotsync_guard_held":                            alert("SlotsyncHeld"),
		"slotsync_haproxy_reload_failed":                 alert("SlotsyncReloadFailed"),
		"slotsync_haproxy_reload_needed":                 alert("SlotsyncReloadNeeded"),
		"slotsync_haproxy_reloads_total":                 "many for `overflow`: the templates have too few slots",
		"slotsync_instance_in_sync":                      alert("SlotsyncNotInSync"),
		"slotsync_instance_lag_seconds":                  alert("SlotsyncBehind"),
		"slotsync_instance_overflow":                     alert("SlotsyncInstanceOverflow"),
		"slotsync_instance_restarts_total":               "HAProxy is reloaded or restarted more often than you do it",
		"slotsync_instance_up":                           alert("SlotsyncInstanceDown"),
		"slotsync_overflow_endpoints":                    alert("SlotsyncOverflow"),
		"slotsync_override_active":                       "what operators asked for and may have forgotten; `slotsync server list` has who and why",
		"slotsync_paused":                                alert("SlotsyncPaused"),
		"slotsync_propagation_seconds":                   "how soon HAProxy has what a source says: the source's own delay is not in it",
		"slotsync_round_duration_seconds":                "HAProxy is slow to answer, where it grows",
		"slotsync_slot_info":                             "join it with HAProxy's own series by `proxy` and `server`, to have the names of instances",
		"slotsync_slot_map_write_errors_total":           "it grows: names in HAProxy's log are old; the log says why. Traffic is not affected",
		"slotsync_slots":                                 "how many slots are free, taken or out of service, as on the dashboard",
		"slotsync_source_endpoints":                      alert("SlotsyncWaiting") + ", " + alert("SlotsyncRejected"),
		"slotsync_source_errors_total":                   "which kind of trouble a source has; while it lasts: " + alert("SlotsyncSourceDown"),
		"slotsync_source_kept":                           alert("SlotsyncKept"),
		"slotsync_source_last_success_timestamp_seconds": "how old what is known of a source is",
		"slotsync_source_up":                             alert("SlotsyncSourceDown"),
		"slotsync_state_file_write_failing":              alert("SlotsyncStateFileNotWritten"),
		"slotsync_state_write_errors_total":              "how often it failed; while it lasts: " + alert("SlotsyncStateNotWritten"),
		"slotsync_state_write_failing":                   alert("SlotsyncStateNotWritten"),
	}
}
