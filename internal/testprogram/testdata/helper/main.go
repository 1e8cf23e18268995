// Command helper is what reads frozen processes and analyses files for tests: importing the library is all it takes.
package main

import _ "github.com/memwarden/memwarden"

func main() {}
