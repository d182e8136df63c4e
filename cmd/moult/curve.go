package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
)

const curveHelp = `A curve names shares of all hosts over the time since the start, with straight lines between them:

    1%@0h,10%@6h,50%@1d,100%@2d         the shares in between are reached by and by
    steps:1%@0h,10%@6h,50%@1d,100%@2d   each share is held until the next one
    linear:48h                          from nothing to everybody in this time
    now                                 everybody at once`

// parseCurve reads a curve as curveHelp has it.
func parseCurve(s string) ([]release.Point, error) {
	points, err := readCurve(strings.TrimSpace(s))
	if err == nil {
		r := release.Rollout{Salt: "any", Start: time.Unix(0, 0), Curve: points}
		err = r.Check()
	}
	if err != nil {
		return nil, &usageError{fmt.Errorf("curve %.80q: %w", s, err)}
	}
	return points, nil
}

func readCurve(s string) ([]release.Point, error) {
	if s == "now" {
		return []release.Point{{Share: 1}}, nil
	}
	if t, ok := strings.CutPrefix(s, "linear:"); ok {
		seconds, err := readSeconds(t)
		return []release.Point{{}, {Seconds: seconds, Share: 1}}, err
	}
	s, steps := strings.CutPrefix(s, "steps:")
	var points []release.Point
	for part := range strings.SplitSeq(s, ",") {
		p, err := readPoint(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if steps && len(points) > 0 {
			points = append(points, release.Point{Seconds: p.Seconds, Share: points[len(points)-1].Share})
		}
		points = append(points, p)
	}
	return points, nil
}

// readPoint reads "10%@6h".
func readPoint(s string) (release.Point, error) {
	share, after, ok := strings.Cut(s, "@")
	number, percent := strings.CutSuffix(share, "%")
	if !ok || !percent {
		return release.Point{}, fmt.Errorf("%.40q is not of the form 10%%@6h", s)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0 && n <= 100) {
		return release.Point{}, fmt.Errorf("share %.40q: not from 0%% to 100%%", share)
	}
	seconds, err := readSeconds(after)
	return release.Point{Seconds: seconds, Share: n / 100}, err
}

// readSeconds reads a time such as 90m, 6h or 2d, in whole seconds.
func readSeconds(s string) (int64, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("time %.40q: not of the form 90m, 6h or 2d", s)
		}
		return int64(n) * 24 * 60 * 60, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d%time.Second != 0 {
		return 0, fmt.Errorf("time %.40q: not of the form 90m, 6h or 2d", s)
	}
	return int64(d / time.Second), nil
}

// termFlags say on what terms hosts get a release.
type termFlags struct {
	critical         bool
	minimum, rollout string
}

func (t *termFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&t.critical, "critical", false, "hosts do not wait for their share of the rollout")
	cmd.Flags().StringVar(&t.minimum, "minimum", "", "oldest `version` that may take this one directly; older ones take one in between first")
	cmd.Flags().StringVar(&t.rollout, "rollout", "", "`curve` of a rollout that begins now, as in moult rollout --help (default: everybody at once)")
}

// read returns minimum version and curve; none of a flag that was not given.
func (t *termFlags) read() (minimum release.Version, curve []release.Point, err error) {
	if t.minimum != "" {
		if minimum, err = release.ParseVersion(t.minimum); err != nil {
			return minimum, nil, &usageError{err}
		}
	}
	if t.rollout != "" {
		curve, err = parseCurve(t.rollout)
	}
	return minimum, curve, err
}
