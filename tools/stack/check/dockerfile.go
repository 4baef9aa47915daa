package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
)

// described is a Dockerfile as BuildKit understands it.
type described struct {
	Warnings []string         `json:"warnings"`
	Stages   []stage          `json:"stages"`
	Images   map[string]image `json:"images"`
}

type stage struct {
	Name  string `json:"name"`
	Base  string `json:"base"`
	Steps []step `json:"steps"`
}

// step is an instruction; of its fields, those that its kind has.
type step struct {
	Kind     string   `json:"kind"`
	Words    []string `json:"words,omitempty"`
	From     string   `json:"from,omitempty"`
	Inline   bool     `json:"inline,omitempty"`
	Owner    string   `json:"owner,omitempty"`
	Original string   `json:"original"`
}

// image is the configuration of the image that a stage would become.
type image = json.RawMessage

// base stands for every image that a stage begins with: what matters of it is that it exists, and its PATH.
type base struct{}

func (base) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := []byte(`{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/local/bin:/usr/bin:/bin"]}}`)
	return ref, digest.FromBytes([]byte(ref)), config, nil
}

func dockerfile(ctx context.Context, path string) (*described, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	source := llb.NewSourceMap(nil, path, "Dockerfile", text)
	source.Definition = &llb.Definition{}
	lint, err := dockerfile2llb.DockerfileLint(ctx, text, dockerfile2llb.ConvertOpt{SourceMap: source, MetaResolver: base{}})
	if err != nil {
		return nil, err
	}
	if lint.Error != nil {
		return nil, &failure{lint.Error.Message}
	}
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, err
	}
	found := &described{Warnings: []string{}, Images: map[string]image{}}
	for _, one := range lint.Warnings {
		line := one.Location.Ranges[0].Start.Line
		found.Warnings = append(found.Warnings, fmt.Sprintf("line %d: %s: %s", line, one.RuleName, one.Detail))
	}
	for _, one := range stages {
		found.Stages = append(found.Stages, stage{one.Name, one.BaseName, steps(one.Commands)})
		options := dockerfile2llb.ConvertOpt{MetaResolver: base{}}
		options.Target = one.Name
		made, err := dockerfile2llb.Dockerfile2LLB(ctx, text, options)
		if err != nil {
			return nil, err
		}
		if found.Images[one.Name], err = json.Marshal(made.Image); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func steps(commands []instructions.Command) []step {
	found := []step{}
	for _, one := range commands {
		entry := step{Kind: one.Name()}
		if shown, ok := one.(interface{ String() string }); ok {
			entry.Original = shown.String()
		}
		switch command := one.(type) {
		case *instructions.RunCommand:
			entry.Words, entry.Inline = command.CmdLine, command.PrependShell
		case *instructions.CopyCommand:
			entry.Words = append(append([]string{}, command.SourcePaths...), command.DestPath)
			entry.From, entry.Owner = command.From, command.Chown
		case *instructions.WorkdirCommand:
			entry.Words = []string{command.Path}
		}
		found = append(found, entry)
	}
	return found
}

// buildContext lists the files that `docker build FOLDER` would send.
func buildContext(folder string) ([]string, error) {
	file, err := os.Open(filepath.Join(folder, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	sent := []string{}
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(filepath.ToSlash(name))
		if err == nil && !ignored {
			sent = append(sent, filepath.ToSlash(name))
		}
		return err
	})
	return sent, err
}

type failure struct{ text string }

func (f *failure) Error() string { return f.text }
