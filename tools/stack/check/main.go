// check reads what the deployment is described by, with the readers of the real tools: Compose's own loader and
// BuildKit's own Dockerfile front end. It prints JSON, or exits with 1 and what they say. Neither needs an engine.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

const usage = `usage: check compose FILE[:FILE …] ENV-FILE [PROFILE …]    the project as Compose runs it
       check variables FILE[:FILE …]                      the variables that the files ask for
       check dockerfile FILE                              stages, images and lint of a Dockerfile
       check context FOLDER                               the files that .dockerignore lets into the build`

func main() {
	words := os.Args[1:]
	if len(words) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	var found any
	var err error
	ctx := context.Background()
	switch {
	case words[0] == "compose" && len(words) > 2:
		found, err = project(ctx, words[1], words[2], words[3:])
	case words[0] == "variables":
		found, err = variables(ctx, words[1])
	case words[0] == "dockerfile":
		found, err = dockerfile(ctx, words[1])
	case words[0] == "context":
		found, err = buildContext(words[1])
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
