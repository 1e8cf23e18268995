package pressure

import "fmt"

// Level is how close a process is to its memory limit.
type Level uint8

// The levels, in rising order.
const (
	Normal Level = iota
	Elevated
	High
	Critical
)

var levelNames = [...]string{"normal", "elevated", "high", "critical"}

// String returns the level's name in lower case.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// MarshalText writes the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level's name.
func (l *Level) UnmarshalText(text []byte) error {
	for i, name := range levelNames {
		if name == string(text) {
			*l = Level(i)
			return nil
		}
	}
	return fmt.Errorf("pressure: unknown level %q: want normal, elevated, high or critical", text)
}
