package health

import (
	"math/rand/v2"
	"testing"
)

// play returns how readiness (1: on) answers a series of results (1: up).
func play(series string, failAfter, recoverAfter int) string {
	var h hysteresis
	answers := make([]byte, len(series))
	for i := range series {
		h = h.next(series[i] == '0', failAfter, recoverAfter)
		answers[i] = '1'
		if h.off {
			answers[i] = '0'
		}
	}
	return string(answers)
}

func TestHysteresis(t *testing.T) {
	for _, test := range []struct {
		name                    string
		failAfter, recoverAfter int
		results, want           string
	}{
		{"steady", 2, 2, "11111111", "11111111"},
		{"never up", 2, 2, "00000000", "00000000"},
		{"first result at once", 3, 3, "0111", "0001"},
		{"step down and up", 2, 2, "111000111", "111100011"},
		{"single failures", 2, 2, "1011011101", "1111111111"},
		{"single successes", 2, 2, "1100100010", "1110000000"},
		{"oscillation from up", 2, 2, "1010101010", "1111111111"},
		{"oscillation from down", 2, 2, "0101010101", "0000000000"},
		{"slow oscillation follows", 2, 2, "110011001100", "111001100110"},
		{"one is enough", 1, 1, "110010", "110010"},
		{"slow to recover", 1, 3, "1011011101", "1000000100"},
		{"slow to fail", 3, 1, "1001000101", "1111110111"},
	} {
		if got := play(test.results, test.failAfter, test.recoverAfter); got != test.want {
			t.Errorf("%s (%d, %d): %s answers %s, want %s", test.name, test.failAfter, test.recoverAfter, test.results, got, test.want)
		}
	}
}

// twin answers for the last result of a series by looking at all of it each time.
func twin(series string, failAfter, recoverAfter int) byte {
	answer := series[0]
	for end := range series {
		needed := failAfter
		if answer == '0' {
			needed = recoverAfter
		}
		row := 0
		for i := end; i >= 0 && series[i] == series[end]; i-- {
			row++
		}
		if series[end] != answer && row >= needed {
			answer = series[end]
		}
	}
	return answer
}

func TestHysteresisAgainstItsTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		failAfter, recoverAfter, bias := 1+random.IntN(4), 1+random.IntN(4), random.Float64()
		series := make([]byte, 60)
		for i := range series {
			series[i] = '0'
			if random.Float64() < bias {
				series[i] = '1'
			}
		}
		answers := play(string(series), failAfter, recoverAfter)
		for i := range series {
			if want := twin(string(series[:i+1]), failAfter, recoverAfter); answers[i] != want {
				t.Fatalf("(%d, %d) %s: answer %d is %c, want %c", failAfter, recoverAfter, series, i, answers[i], want)
			}
		}
	}
}
