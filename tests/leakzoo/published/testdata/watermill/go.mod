module watermill

go 1.26
