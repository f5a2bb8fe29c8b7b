// Command image writes an image of one static program as an OCI archive, without a daemon:
// FROM scratch, as a user without rights. The same program gives the same bytes. What is in
// it is what the Containerfile beside it says.
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	program = "usr/local/bin/slotsync"
	// user is the one that distributions of images without a shell have agreed on.
	user = "65532:65532"
)

func main() {
	binary := flag.String("binary", "bin/slotsync", "the static program")
	archive := flag.String("o", "bin/slotsync.oci.tar", "the archive that is written")
	arch := flag.String("arch", "amd64", "what the program is built for, as in GOARCH")
	version := flag.String("version", "unknown", "its version")
	flag.Parse()
	if err := write(*binary, *archive, *arch, *version); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write makes the image and its archive.
func write(binary, archive, arch, version string) error {
	text, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	image, err := imageOf(text, arch, version)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	index, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	name := map[string]string{"org.opencontainers.image.ref.name": "localhost/slotsync:" + version}
	if err := index.ReplaceImage(image, match.Name(name["org.opencontainers.image.ref.name"]), layout.WithAnnotations(name)); err != nil {
		return err
	}
	return pack(folder, archive)
}

// imageOf is an image with one layer, which has the program alone.
func imageOf(text []byte, arch, version string) (v1.Image, error) {
	tree, err := layerOf(text)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tree)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.AppendLayers(image, layer)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, configOf(image, arch, version))
}

// configOf says how the program is started.
func configOf(image v1.Image, arch, version string) *v1.ConfigFile {
	config := &v1.ConfigFile{Architecture: arch, OS: "linux", Created: v1.Time{Time: time.Unix(0, 0).UTC()}}
	if had, err := image.ConfigFile(); err == nil {
		config.RootFS, config.History = had.RootFS, had.History
	}
	config.Config = v1.Config{
		User: user, Entrypoint: []string{"/" + program}, Cmd: []string{"run"},
		Env: []string{"PATH=/usr/local/bin"},
		Labels: map[string]string{
			"org.opencontainers.image.title": "slotsync", "org.opencontainers.image.version": version, "org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return config
}

// layerOf is the tree of files: the program and the folders that it is in.
func layerOf(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, folder := range []string{"usr/", "usr/local/", "usr/local/bin/"} {
		if err := w.WriteHeader(&tar.Header{Name: folder, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: program, Mode: 0o755, Size: int64(len(text)), ModTime: time.Unix(0, 0)}); err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

// pack writes a folder as an archive, in the order of its names and without times.
func pack(folder, archive string) error {
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer out.Close()
	w := tar.NewWriter(out)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = out.Close()
	}
	return err
}
