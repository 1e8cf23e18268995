package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// memoryLess may log what grep memory does not find.
var memoryLess = []excuse{
	{"health", "*", "a check is of anything that a program depends on"},
	{"shutdown", "*", "the phases of a shutdown"},
}

// TestMemoryIsFoundInTheLog: every message of the library has the word memory, so that grep finds it, and is written out
// where it is logged, so that what repeats itself is known by it.
func TestMemoryIsFoundInTheLog(t *testing.T) {
	r := open(t)
	permitted := newExcuses(memoryLess)
	seen := 0
	for _, f := range r.golang {
		if !f.library() || f.isTest() || forTests(f.dir()) {
			continue
		}
		for _, call := range logCalls(f.syntax) {
			seen++
			if message := firstText(call); !strings.Contains(message, "memory") && !permitted.permits(f.dir(), "*") {
				t.Errorf("%s: the log says %q, which grep memory does not find", r.at(call), message)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d lines of the log were looked at: the rule has lost sight of them", seen)
	}
	permitted.check(t)
}

// guideToLogs lists messages of the log in its tables.
const guideToLogs = "docs/profiling-and-logs.md"

var tableMessage = regexp.MustCompile("(?m)^\\| `(memory[^`]*)` ")

// TestGuideKnowsTheLog: the messages that the guide lists are those that the code writes.
func TestGuideKnowsTheLog(t *testing.T) {
	r := open(t)
	written := map[string]bool{}
	for _, f := range r.golang {
		if !f.shipped() || f.isTest() {
			continue
		}
		ast.Inspect(f.syntax, func(node ast.Node) bool { // some lines choose their level first
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					written[strings.TrimSpace(text)] = true
				}
			}
			return true
		})
	}
	rows := tableMessage.FindAllStringSubmatch(r.read(t, guideToLogs), -1)
	for _, m := range rows {
		if !written[m[1]] {
			t.Errorf("%s lists the message %q, which nothing logs", guideToLogs, m[1])
		}
	}
	if len(rows) < 5 {
		t.Errorf("%s lists %d messages", guideToLogs, len(rows))
	}
}

// logCalls are the calls that write a line of a slog.Logger.
func logCalls(file *ast.File) (found []*ast.CallExpr) {
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "LogAttrs"}, method.Sel.Name) {
			return true
		}
		logger := ""
		switch of := method.X.(type) {
		case *ast.Ident:
			logger = of.Name
		case *ast.SelectorExpr:
			logger = of.Sel.Name
		}
		if slices.Contains([]string{"log", "logger", "slog", "Logger"}, logger) {
			found = append(found, call)
		}
		return true
	})
	return found
}

// firstText is the first argument that is a text, or that begins with one.
func firstText(call *ast.CallExpr) string {
	for _, argument := range call.Args {
		if sum, ok := argument.(*ast.BinaryExpr); ok {
			argument = sum.X
		}
		if literal, ok := argument.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			if err == nil {
				return text
			}
		}
	}
	return ""
}
