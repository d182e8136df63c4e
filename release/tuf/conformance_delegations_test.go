package tuf

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

var delegationCases = func() map[string]func(*simulator) {
	cases := map[string]func(*simulator){
		"two delegators, one of whom may not": func(s *simulator) {
			s.delegate(targetsRole, metadata.DelegatedRole{Name: "A", Paths: []string{"*"}})
			s.delegate(targetsRole, metadata.DelegatedRole{Name: "B", Paths: []string{"*"}})
			s.delegate("A", metadata.DelegatedRole{Name: "C", Paths: []string{"of-a"}})
			s.delegate("B", metadata.DelegatedRole{Name: "C", Paths: []string{"of-b"}})
			s.targets["B"].Signed.Delegations.Roles[0].KeyIDs = nil // trusts C with nothing
			s.addArtifact("C", "of-a", "a")
			s.addArtifact("C", "of-b", "b")
			s.publishAll("C", "A", "B", targetsRole)
			s.download(1, "of-a", "of-b")
			s.has("a")
		},
		"signed by a stranger": func(s *simulator) {
			s.delegate(targetsRole, metadata.DelegatedRole{Name: "A", Paths: []string{"*"}})
			s.addArtifact("A", "file", "content")
			s.keys["A"] = []simKey{newSimKey(s.T, "ed25519")}
			s.publishAll("A", targetsRole)
			s.download(1, "file")
			s.trusts("root 1", "timestamp 2", "snapshot 2", "targets 2")
		},
		"too many": func(s *simulator) {
			for i := range 40 {
				s.delegate(targetsRole, metadata.DelegatedRole{Name: fmt.Sprintf("role%d", i), Paths: []string{"*"}})
				s.publish(fmt.Sprintf("role%d", i))
			}
			s.addArtifact("role39", "file", "content")
			s.publishAll("role39", targetsRole)
			s.download(1, "file")
			if got := len(s.took()) - 4; got > 32 {
				s.Errorf("%d delegated roles were asked for", got)
			}
		},
		"hash bins": func(s *simulator) {
			key := newSimKey(s.T, "ed25519")
			bins := &metadata.SuccinctRoles{KeyIDs: []string{key.id}, Threshold: 1, BitLength: 3, NamePrefix: "bin"}
			s.targets[targetsRole].Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{key.id: key.Key}, SuccinctRoles: bins}
			for _, name := range bins.GetRoles() {
				s.targets[name], s.keys[name] = metadata.Targets(soon), []simKey{key}
				s.publish(name)
			}
			role := bins.GetRolesForTarget("file")[0].Name
			s.addArtifact(role, "file", "content")
			s.publishAll(role, targetsRole)
			s.took()
			s.download(0, "file")
			s.has("content")
			if got := s.took(); len(got) != 6 || got[4] != role+" 2" {
				s.Errorf("asked for %q", got)
			}
		},
	}
	for _, role := range []string{"?", "#", "/delegated", "../delegated", "dot.ted", "1.2", "rôle/日本"} {
		cases["role called "+strings.ReplaceAll(role, "/", "|")] = func(s *simulator) {
			s.delegate(targetsRole, metadata.DelegatedRole{Name: role, Paths: []string{"*"}})
			s.publishAll(role, targetsRole)
			s.took()
			s.download(1, "nothing of this name")
			if got := s.took(); !slices.Contains(got, url.PathEscape(role)+" 1") {
				s.Errorf("asked for %q", got)
			}
			files, _ := filepath.Glob(filepath.Join(s.dir, "metadata", "*.json"))
			if outside, _ := filepath.Glob(filepath.Join(s.dir, "*")); len(files) != 5 || len(outside) != 3 {
				s.Errorf("trusts %q, and beside it %q", files, outside)
			}
		}
	}
	// Each graph is a list of FROM→TO, with ! for a terminating delegation and :PATTERN where it is for some paths only. Below it stand the roles that are
	// asked for, in this order, when no role has the artifact.
	for graph, want := range map[string]string{
		"targets→A":                                     "A",
		"targets→A targets→B":                           "A B",
		"targets→A targets→B B→C":                       "A B C",
		"targets→A targets→B A→C A→D":                   "A C D B",
		"targets→A targets→B A→C C→D":                   "A C D B",
		"targets→A targets→B A→C! A→D":                  "A C",
		"targets→A targets→B A→C! C→D":                  "A C D",
		"targets→A:*.py targets→B A→C":                  "B",
		"targets→A targets→B A→C:*.py C→D":              "A B",
		"targets→A targets→B B→C C→D D→B":               "A B C D",
		"targets→A targets→B B→C A→C":                   "A C B",
		"targets→A targets→B B→C A→C:*.py":              "A B C",
		"targets→A:*/* targets→B:missing? targets→C:?*": "C",
	} {
		cases["graph "+strings.ReplaceAll(graph, "/", "|")] = func(s *simulator) { s.walks(graph, "missing", want) }
	}
	for path, want := range map[string]string{"file": "", "README.md": "A", "releases/x/x_v1": "B C", "releases/y/y_v1.zip": "B D", "releases/z/z_v1.zip": "B"} {
		cases["search for "+strings.ReplaceAll(path, "/", "|")] = func(s *simulator) {
			const graph = "targets→A:*.md targets→B:releases/*/* B→C:releases/x/* B→D:releases/y/*.zip"
			s.walks(graph, path, want)
		}
	}
	return cases
}()

// walks looks for an artifact that nobody has in a graph of delegations.
func (s *simulator) walks(graph, path, want string) {
	s.Helper()
	for edge := range strings.FieldsSeq(graph) {
		from, to, _ := strings.Cut(edge, "→")
		to, pattern, _ := strings.Cut(to, ":")
		to, terminating := strings.CutSuffix(to, "!")
		if pattern == "" {
			pattern = "*"
		}
		s.delegate(from, metadata.DelegatedRole{Name: to, Terminating: terminating, Paths: []string{pattern}})
	}
	for name := range s.targets {
		s.publish(name)
	}
	s.publishAll()
	s.took()
	s.download(1, path)
	var got []string
	for _, r := range s.took()[4:] {
		role, _, _ := strings.Cut(r, " ")
		got = append(got, role)
	}
	if strings.Join(got, " ") != want {
		s.Errorf("%s: walked through %q, want %q", graph, got, want)
	}
	if len(got) > 0 { // where the last role has it, it is found
		s.addArtifact(got[len(got)-1], path, "content")
		s.publishAll(got[len(got)-1])
		s.download(0, path)
		s.has("content")
	}
}
