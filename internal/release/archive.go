package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// archive makes the archive of what was put together for a target: a zip for Windows.
func (r *release) archive(t target) error {
	write, suffix := writeTarGz, ".tar.gz"
	if t.os == "windows" {
		write, suffix = writeZip, ".zip"
	}
	return create(filepath.Join(r.out, r.title(t)+suffix), func(w io.Writer) error {
		return write(w, os.DirFS(r.dir(t)), r.title(t), r.time)
	})
}

// create makes a file with what write writes.
func create(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

func writeTarGz(w io.Writer, files fs.FS, prefix string, at time.Time) error {
	zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	return errors.Join(writeTar(zw, files, prefix, at), zw.Close())
}

// writeTar writes files in order, below prefix, all of one time, owned by root.
func writeTar(w io.Writer, files fs.FS, prefix string, at time.Time) error {
	tw := tar.NewWriter(w)
	err := eachFile(files, func(name string, info fs.FileInfo, content io.Reader) error {
		header := &tar.Header{Name: path.Join(prefix, name), Mode: mode(info), ModTime: at, Typeflag: tar.TypeReg, Size: info.Size(), Format: tar.FormatPAX}
		if info.IsDir() {
			header.Name, header.Typeflag, header.Size = header.Name+"/", tar.TypeDir, 0
		}
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.Copy(tw, content)
		return err
	})
	return errors.Join(err, tw.Close())
}

func writeZip(w io.Writer, files fs.FS, prefix string, at time.Time) error {
	zw := zip.NewWriter(w)
	err := eachFile(files, func(name string, info fs.FileInfo, content io.Reader) error {
		if info.IsDir() {
			return nil
		}
		header := &zip.FileHeader{Name: path.Join(prefix, name), Method: zip.Deflate, Modified: at}
		header.SetMode(fs.FileMode(mode(info)))
		file, err := zw.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return err
	})
	return errors.Join(err, zw.Close())
}

// readable gives all files in a folder the modes that they have in an archive: a package
// takes them from there.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.Chmod(name, fs.FileMode(mode(info)))
	})
}

// mode is that of a file that anybody may read, whatever the umask was.
func mode(info fs.FileInfo) int64 {
	if info.IsDir() || info.Mode()&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

// eachFile calls do for each folder and file below the root, in the order of names.
func eachFile(files fs.FS, do func(name string, info fs.FileInfo, content io.Reader) error) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return do(name, info, strings.NewReader(""))
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read
		return do(name, info, f)
	})
}

// sum writes SHA256SUMS of all that was made.
func (r *release) sum() error {
	files, err := made(r.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(r.out, file))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), file))
	}
	list := strings.Join(slices.Sorted(slices.Values(lines)), "")
	fmt.Print(list)
	return os.WriteFile(filepath.Join(r.out, sums), []byte(list), 0o644)
}
