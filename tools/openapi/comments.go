package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// comments are what the source says of types and of their fields: "api.Status", "api.Status.Ready".
type comments map[string]string

// readComments reads those of the packages that the types of the API are in.
func readComments(root string) (comments, error) {
	out := comments{}
	for _, folder := range []string{"agent/api", "discovery", "slots"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			out.add(filepath.Base(folder), file)
		}
	}
	return out, nil
}

func (c comments) add(pkg string, file *ast.File) {
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, spec := range g.Specs {
			t := spec.(*ast.TypeSpec)
			name := pkg + "." + t.Name.Name
			c[name] = plain(g.Doc)
			s, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range s.Fields.List {
				for _, field := range f.Names {
					c[name+"."+field.Name] = plain(f.Doc) + plain(f.Comment)
				}
			}
		}
	}
}

// plain is a comment in one line, without the brackets of its links.
func plain(g *ast.CommentGroup) string {
	words := strings.Join(strings.Fields(g.Text()), " ")
	return regexp.MustCompile(`\[([A-Z][\w.]*)\]`).ReplaceAllString(words, "$1")
}
