package reference

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Man holds a man page for root and for each command below it, by the names of their files: hello.1, hello-config-check.1. The date is shown in
// them, by month.
func Man(root *cobra.Command, date time.Time) (map[string][]byte, error) {
	root.DisableAutoGenTag = true
	pages := map[string][]byte{}
	for _, c := range append(Commands(root), root) {
		if c.IsAdditionalHelpTopicCommand() {
			continue
		}
		var b bytes.Buffer
		header := &doc.GenManHeader{Section: "1", Date: &date, Source: root.Name(), Manual: root.Name()}
		if err := doc.GenMan(c, header, &b); err != nil {
			return nil, fmt.Errorf("write the man page of %s: %w", c.CommandPath(), err)
		}
		pages[strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"] = b.Bytes()
	}
	return pages, nil
}
