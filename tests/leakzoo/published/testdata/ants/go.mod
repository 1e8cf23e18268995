module ants

go 1.26
