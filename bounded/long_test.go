package bounded

import "flag"

var long = flag.Bool("long", false, "run the longer proofs too")
