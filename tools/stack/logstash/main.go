// logstash reads Logstash's pipelines and runs their grok patterns, without Logstash: the former by a grammar that was
// translated from Logstash's own, the latter by Elastic's grok. It prints JSON, or exits with 1 and what is wrong.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"

	config "github.com/breml/logstash-config"
	"github.com/breml/logstash-config/ast"
	"github.com/elastic/go-grok"
)

const usage = `usage: logstash read FILE                  the plugins of each section, with their settings
       logstash grok PATTERN DEFINITIONS   the fields of each line of standard input, null where it does not match`

func main() {
	words := os.Args[1:]
	var err error
	switch {
	case len(words) == 2 && words[0] == "read":
		err = read(words[1])
	case len(words) == 3 && words[0] == "grok":
		err = match(words[1], words[2])
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type plugin struct {
	Name     string         `json:"name"`
	Settings map[string]any `json:"settings"`
}

func read(path string) error {
	tree, err := config.ParseFile(path)
	if err != nil {
		return err
	}
	parsed := tree.(ast.Config)
	sections := map[string][]plugin{}
	for name, found := range map[string][]ast.PluginSection{
		"input": parsed.Input, "filter": parsed.Filter, "output": parsed.Output,
	} {
		sections[name] = []plugin{}
		for _, section := range found {
			for _, one := range section.BranchOrPlugins {
				own, plain := one.(ast.Plugin)
				if !plain {
					return fmt.Errorf("%s:%s: conditions are not read here", path, one.Pos())
				}
				sections[name] = append(sections[name], plugin{own.Name(), settings(own.Attributes)})
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(sections)
}

func settings(attributes []ast.Attribute) map[string]any {
	found := map[string]any{}
	for _, one := range attributes {
		found[one.Name()] = value(one)
	}
	return found
}

func value(attribute ast.Attribute) any {
	switch one := attribute.(type) {
	case ast.StringAttribute:
		return one.Value()
	case ast.NumberAttribute:
		return one.Value()
	case ast.ArrayAttribute:
		values := []any{}
		for _, element := range one.Attributes {
			values = append(values, value(element))
		}
		return values
	case ast.HashAttribute:
		values := map[string]any{}
		for _, entry := range one.Entries {
			values[key(entry.Key)] = value(entry.Value)
		}
		return values
	}
	return attribute.ValueString()
}

func key(attribute ast.HashEntryKey) string {
	if text, quoted := attribute.(ast.StringAttribute); quoted {
		return text.Value()
	}
	return attribute.ValueString()
}

// Logstash writes [process][pid] where Elastic's grok writes process.pid.
var field = regexp.MustCompile(`:((?:\[[^\]]+\])+)`)

func match(pattern, definitions string) error {
	own := map[string]string{}
	if err := json.Unmarshal([]byte(definitions), &own); err != nil {
		return err
	}
	expression := grok.New()
	if err := expression.AddPatterns(own); err != nil {
		return err
	}
	dotted := field.ReplaceAllStringFunc(pattern, func(found string) string {
		inner := regexp.MustCompile(`\]\[`).ReplaceAllString(found[2:len(found)-1], ".")
		return ":" + inner
	})
	if err := expression.Compile(dotted, true); err != nil {
		return err
	}
	output := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var fields map[string]any
		if expression.MatchString(lines.Text()) {
			found, err := expression.ParseTypedString(lines.Text())
			if err != nil {
				return err
			}
			fields = found
		}
		if err := output.Encode(fields); err != nil {
			return err
		}
	}
	return lines.Err()
}
