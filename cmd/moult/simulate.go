package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/cmd/moult/fleet"
)

// defaultCost is what TestSimulatedCosts measures, rounded: TLS 1.3 with a session that is resumed, HTTP/2.
var defaultCost = fleet.Cost{Up: 2000, Down: 1750, Signed: 500}

func newSimulate() *cobra.Command {
	// The sizes of payloads are those of node_exporter 1.9.1 (zstd -19, plain delta from 1.9.0); the rest is in docs/explanation/scale.md.
	s := fleet.Study{Cost: defaultCost, Full: 5_200_000, Delta: 145_000}
	var plots string
	var curves []string
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate many hosts: what polling costs, and how far a bad release comes",
		Long: `Simulate a fleet of hosts in virtual time, with the code that servers run: when they check, and what they take.

Three tables: days without a release (requests, bytes, the work of a CDN's copies), a good release by several curves, and a bad one that is halted
after several reaction times. The same --seed gives the same figures. docs/explanation/scale.md explains them.`,
		Example: "  moult simulate --hosts 1000000 --interval 1h,6h,24h --plot plots",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkStudy(&s); err != nil {
				return &usageError{err}
			}
			var err error
			if s.Curves, err = simulatedCurves(curves); err != nil {
				return err
			}
			found, err := s.Run(cmd.Context(), func(what string) { fmt.Fprintln(cmd.ErrOrStderr(), what) })
			if err != nil {
				return err
			}
			if plots != "" {
				if err := writePlots(cmd, plots, found); err != nil {
					return err
				}
			}
			return emit(cmd, simulated{found})
		},
	}
	f := cmd.Flags()
	f.IntVar(&s.Hosts, "hosts", 100_000, "how many `hosts`")
	f.Uint64Var(&s.Seed, "seed", 1, "of everything that is drawn")
	f.StringVar(&plots, "plot", "", "also draw plots, as SVG files in `DIR`")
	f.StringArrayVar(&curves, "curve", nil, "a `curve` as in moult rollout, to simulate in place of the usual ones; may be repeated")
	f.DurationSliceVar(&s.Intervals, "interval", []time.Duration{6 * time.Hour}, "between two checks of a host; several are simulated one after the other")
	f.DurationSliceVar(&s.MaxAges, "max-ages", []time.Duration{0, time.Minute, 5 * time.Minute, time.Hour}, "for days without a release: how long copies of timestamp.json are served")
	f.DurationVar(&s.MaxAge, "max-age", 5*time.Minute, "for everything else: the same")
	f.IntVar(&s.Edges, "edges", 100, "`copies` of the feed that the CDN keeps")
	f.DurationVar(&s.Refresh, "refresh", 24*time.Hour, "how often timestamp.json is signed again")
	f.Int64Var(&s.Cost.Up, "bytes-up", s.Cost.Up, "`bytes` that a check sends, if there is nothing new")
	f.Int64Var(&s.Cost.Down, "bytes-down", s.Cost.Down, "and receives")
	f.Int64Var(&s.Cost.Signed, "bytes-signed", s.Cost.Signed, "`bytes` that it receives besides, if timestamp.json was signed again")
	f.Int64Var(&s.Full, "bytes-full", s.Full, "`bytes` of a full payload")
	f.Int64Var(&s.Delta, "bytes-delta", s.Delta, "`bytes` of a delta")
	f.Float64Var(&s.Fails, "fails", 0.2, "`share` of the hosts on which the bad release fails on probation, 0 to 1")
	f.DurationVar(&s.Delay, "delay", 4*time.Hour, "after which the bad release shows its fault on all others")
	f.Float64Var(&s.Reported, "reported", 0.05, "`share` of the faults that the publisher hears of, 0 to 1")
	f.IntVar(&s.Reports, "reports", 10, "`faults` that the publisher must hear of to act; 0 leaves these simulations out")
	f.DurationVar(&s.Halt, "reaction", time.Hour, "until the release is halted then")
	f.DurationSliceVar(&s.Reactions, "reactions", []time.Duration{time.Hour, 4 * time.Hour, 12 * time.Hour}, "and for a publisher who halts so long after the publication")
	f.Float64Var(&s.Off, "off", 0.05, "`share` of the hosts that are off at the publication, 0 to 1")
	f.DurationVar(&s.OffFor, "off-for", 24*time.Hour, "they come back by and by until then")
	return cmd
}

// simulatedCurves are those that were named, or the usual ones.
func simulatedCurves(named []string) ([]fleet.Curve, error) {
	if len(named) == 0 {
		return fleet.Curves(), nil
	}
	var curves []fleet.Curve
	for _, c := range named {
		points, err := parseCurve(c)
		if err != nil {
			return nil, err
		}
		curves = append(curves, fleet.Curve{Name: c, Points: points})
	}
	return curves, nil
}

// most hosts and the longest a simulation goes on for: it needs some bytes for each.
const (
	mostHosts     = 100_000_000
	longestFollow = 96 * time.Hour
)

func checkStudy(s *fleet.Study) error {
	s.Until = longestFollow
	if s.Hosts < 1 || s.Hosts > mostHosts || s.Edges < 1 || s.Edges > mostHosts {
		return fmt.Errorf("--hosts %d, --edges %d: want 1 to %d", s.Hosts, s.Edges, mostHosts)
	}
	if len(s.Intervals) == 0 {
		return errors.New("--interval: none")
	}
	for _, d := range s.Intervals {
		if d < time.Minute || d > 7*24*time.Hour {
			return fmt.Errorf("--interval %v: want a minute to a week", d)
		}
	}
	spans := append([]time.Duration{s.MaxAge, s.Delay, s.Halt, s.OffFor, s.Refresh - time.Minute}, s.MaxAges...)
	for _, d := range append(spans, s.Reactions...) {
		if d < 0 || d > 365*24*time.Hour {
			return fmt.Errorf("%v: no such time", d)
		}
	}
	for _, share := range []float64{s.Fails, s.Reported, s.Off} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("share %v: want 0 to 1", share)
		}
	}
	return nil
}

func writePlots(cmd *cobra.Command, dir string, found *fleet.Findings) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range found.Plots() {
		file := filepath.Join(dir, p.Name+".svg")
		if err := os.WriteFile(file, p.SVG(), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "wrote", file)
	}
	return nil
}

// simulated is the result.
type simulated struct{ *fleet.Findings }

func (s simulated) text(w io.Writer) { s.Text(w) }
