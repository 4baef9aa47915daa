package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/template"
)

// project loads a Compose file as `docker compose config` does: schema, interpolation, consistency, absolute paths.
func project(ctx context.Context, file, env string, profiles []string) (json.RawMessage, error) {
	options, err := cli.NewProjectOptions(strings.Split(file, ":"), cli.WithEnvFiles(env), cli.WithDotEnv, cli.WithProfiles(profiles))
	if err != nil {
		return nil, err
	}
	loaded, err := options.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	return loaded.MarshalJSON()
}

// variables tells which variables a Compose file asks for, before any of them is put in.
func variables(ctx context.Context, file string) (map[string]template.Variable, error) {
	options, err := cli.NewProjectOptions(strings.Split(file, ":"), cli.WithInterpolation(false))
	if err != nil {
		return nil, err
	}
	model, err := options.LoadModel(ctx)
	if err != nil {
		return nil, err
	}
	return template.ExtractVariables(model, template.DefaultPattern), nil
}
