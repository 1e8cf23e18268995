package launch

import (
	"fmt"
	"strconv"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/settings"
)

// decideMachine has a service that nothing limits keep within a share of the machine's memory. A user who has said what
// it may have, in whatever way, is heard.
func decideMachine(env *environment, c *config.Config, limits memstat.CgroupLimits, root string) Decision {
	stated := c.Values.Get(config.StatedLimit)
	d := Decision{Name: config.StatedLimit, Value: stated.Text}
	_, explicit := decided(env, memoryLimit)
	_, contained := limits.MaxBytes.Get()
	switch {
	case stated.Source != settings.SourceDefault:
		d.Reason = fmt.Sprintf("left alone: it is set (%s)", stated.Source)
	case explicit:
		d.Reason = "left alone: GOMEMLIMIT is set"
	case contained:
		d.Reason = "left alone: the container has a limit"
	default:
		total, known := readSample(root).System.TotalBytes.Get()
		if !known || total <= 0 {
			d.Reason = "left alone: no container limits it, and how much memory the machine has is not known"
			return d
		}
		share := total / machineParts * (machineParts - 1)
		c.Warden.Limit.MemoryBytes = share
		d.Value, d.Set = strconv.FormatInt(share, 10), true
		d.Reason = fmt.Sprintf("no container limits it: three quarters of the machine's %s", bytesize.Format(total))
	}
	return d
}

// machineParts: what a service has is all but one of so many parts of the machine; that one is for whatever else runs.
const machineParts = 4
