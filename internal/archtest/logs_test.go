package archtest

import (
	"go/ast"
	"go/token"
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
