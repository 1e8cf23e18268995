// Package check builds each example, runs it and asks it over HTTP for what it shows. It has tests alone.
//
// It is a module of its own so that an example holds nothing but what a user would write.
package check
