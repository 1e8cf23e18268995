package incident

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// GroupIdentity tells a control group, by its directory, from all others, those that have had its name and those of before
// the machine was started included; empty if that cannot be told. proc is below root.
func GroupIdentity(root, dir string) string {
	info, err := os.Stat(dir)
	if dir == "" || err != nil {
		return ""
	}
	device, inode, ok := fileIdentity(info)
	boot, err := os.ReadFile(filepath.Join(root, "proc", "sys", "kernel", "random", "boot_id"))
	if err != nil || !ok {
		return ""
	}
	return fmt.Sprintf("%s/%d/%d", strings.TrimSpace(string(boot)), device, inode)
}
