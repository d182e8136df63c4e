package tuf

import (
	"fmt"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

var keyCases = func() map[string]func(*simulator) {
	cases := map[string]func(*simulator){
		"a threshold that is not reached": func(s *simulator) {
			s.refresh(0)
			s.addKey(snapshotRole, s.newKeys(4)...)
			s.root.Signed.Roles[snapshotRole].Threshold = 6 // of 5
			s.publish(rootRole)
			s.publishAll()
			s.refresh(1)
			s.trusts("root 2", "timestamp 2", "snapshot 1", "targets 1")
			s.root.Signed.Roles[snapshotRole].Threshold = 5
			s.publish(rootRole)
			s.refresh(0)
			s.trusts("root 3", "timestamp 2", "snapshot 2", "targets 1")
		},
		"keys that only the root has": func(s *simulator) {
			s.refresh(0)
			s.addKey(snapshotRole, s.newKeys(2)...)
			s.publish(rootRole)
			s.publishAll()
			signing := s.keys[snapshotRole]
			s.addKey(snapshotRole, s.newKeys(2)...)
			s.keys[snapshotRole] = signing
			s.root.Signed.Roles[snapshotRole].Threshold = 4
			s.publish(rootRole)
			s.publishAll()
			s.refresh(1)
			s.trusts("root 3", "timestamp 3", "snapshot 1", "targets 1")
		},
		"one key under many ids": func(s *simulator) {
			s.refresh(0)
			k := newSimKey(s.T, "ed25519")
			for n := range 8 {
				c := k
				c.id = fmt.Sprintf("%02d", n)
				s.root.Signed.Keys[c.id] = c.Key
				s.root.Signed.Roles[snapshotRole].KeyIDs = append(s.root.Signed.Roles[snapshotRole].KeyIDs, c.id)
				s.keys[snapshotRole] = append(s.keys[snapshotRole], c)
			}
			s.root.Signed.Roles[snapshotRole].Threshold = 6
			s.publish(rootRole)
			s.publishAll()
			s.refresh(1)
			s.trusts("root 2", "timestamp 2", "snapshot 1", "targets 1")
		},
		"one signature many times": func(s *simulator) {
			s.refresh(0)
			s.addKey(timestampRole, s.newKeys(1)...)
			s.root.Signed.Roles[timestampRole].Threshold = 2
			s.publish(rootRole)
			one := s.keys[timestampRole][0]
			s.keys[timestampRole] = []simKey{one, one, one}
			s.publish(timestampRole)
			s.refresh(1)
			s.trusts("root 2", "timestamp 1", "snapshot 1", "targets 1")
		},
		"no signature": func(s *simulator) {
			s.refresh(0)
			s.keys[timestampRole] = nil
			s.publish(timestampRole)
			s.refresh(1)
			s.trusts("root 1", "timestamp 1", "snapshot 1", "targets 1")
		},
		"signatures of strangers beside a good one": func(s *simulator) {
			s.keys[timestampRole] = append(s.newKeys(2), s.keys[timestampRole]...)
			s.publish(timestampRole)
			s.refresh(0)
			s.trusts("root 1", "timestamp 2", "snapshot 1", "targets 1")
		},
		"a field of a key that nobody knows": func(s *simulator) {
			s.root.Signed.Keys[s.keys[snapshotRole][0].id].UnrecognizedFields = map[string]any{"keyid_hash_algorithms": []string{"md5"}}
			s.publish(rootRole)
			s.publishAll()
			s.refresh(0)
			s.trusts("root 2", "timestamp 2", "snapshot 2", "targets 1")
		},
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		cases["all keys are "+kind] = func(s *simulator) {
			for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
				if role != rootRole {
					s.root.Signed.Roles[role].KeyIDs, s.keys[role] = nil, nil
				}
				s.addKey(role, newSimKey(s.T, kind)) // both roots' keys sign the next one
			}
			s.publish(rootRole)
			s.root.Signed.Roles[rootRole].KeyIDs = s.root.Signed.Roles[rootRole].KeyIDs[1:]
			s.publish(rootRole)
			s.publishAll(targetsRole)
			s.refresh(0)
			s.trusts("root 3", "timestamp 2", "snapshot 2", "targets 2")
		}
	}
	return cases
}()

func (s *simulator) newKeys(n int) (keys []simKey) {
	for range n {
		keys = append(keys, newSimKey(s.T, "ed25519"))
	}
	return keys
}

// roleKeys is one version: which keys the root names, how many must sign, and which do.
type roleKeys struct {
	keys      string // digits
	threshold int
	sigs      string
}

func (s *simulator) setKeys(all []simKey, role string, v roleKeys) {
	s.root.Signed.Roles[role] = &metadata.Role{Threshold: v.threshold}
	s.keys[role] = nil
	for _, c := range v.keys {
		if err := s.root.Signed.AddKey(all[c-'0'].Key, role); err != nil {
			s.Fatal(err)
		}
	}
	for _, c := range v.sigs {
		s.keys[role] = append(s.keys[role], all[c-'0'])
	}
}

// rotationCases change keys and thresholds, of the root by a chain of roots, and of the other roles.
func rotationCases() map[string]func(*simulator) {
	cases := map[string]func(*simulator){}
	for name, c := range map[string]struct {
		good  bool
		roots []roleKeys
	}{
		"1 of 1":                                {true, []roleKeys{{"1", 1, "1"}, {"2", 1, "21"}, {"2", 1, "2"}}},
		"1 of 1, more signatures":               {true, []roleKeys{{"1", 1, "314"}, {"2", 1, "3214"}, {"2", 1, "324"}}},
		"3 of 5, others sign":                   {true, []roleKeys{{"01234", 3, "024"}, {"01234", 3, "041"}, {"01234", 3, "013"}, {"01234", 3, "013"}}},
		"3 of 5, one goes":                      {true, []roleKeys{{"01234", 3, "024"}, {"01345", 3, "041"}}},
		"3 of 5, one goes by a step":            {true, []roleKeys{{"01234", 3, "024"}, {"01345", 3, "0245"}, {"01345", 3, "045"}}},
		"3 of 5, all go":                        {true, []roleKeys{{"01234", 3, "024"}, {"56789", 3, "024567"}, {"56789", 3, "567"}}},
		"1 of 3 to 2 of 3":                      {true, []roleKeys{{"123", 1, "1"}, {"123", 2, "12"}}},
		"2 of 3 to 1 of 3":                      {true, []roleKeys{{"123", 2, "12"}, {"123", 1, "12"}, {"123", 1, "1"}}},
		"1 of 1 to 2 of 2":                      {true, []roleKeys{{"1", 1, "1"}, {"12", 2, "12"}}},
		"not by the old key":                    {false, []roleKeys{{"1", 1, "1"}, {"2", 1, "234"}}},
		"not by the new key":                    {false, []roleKeys{{"1", 1, "1"}, {"2", 1, "134"}}},
		"not by 3 new keys":                     {false, []roleKeys{{"01234", 3, "024"}, {"01345", 3, "024"}}},
		"not by 3 old keys":                     {false, []roleKeys{{"01234", 3, "024"}, {"01345", 3, "045"}}},
		"a threshold that the new one lacks":    {false, []roleKeys{{"123", 1, "1"}, {"123", 2, "2"}}},
		"a threshold that only the old one has": {false, []roleKeys{{"123", 2, "12"}, {"123", 1, "1"}}},
	} {
		cases["root rotation: "+name] = func(s *simulator) {
			keys := s.newKeys(10)
			s.published[rootRole] = nil
			for i, r := range c.roots {
				s.setKeys(keys, rootRole, r)
				s.publishAs(rootRole, int64(i+1))
			}
			all := s.published[rootRole]
			s.init(all[0], 0)
			if c.good {
				s.refresh(0)
				s.trustsBytes(rootRole, all[len(all)-1])
				return
			}
			s.refresh(1)
			s.trustsBytes(rootRole, all[len(all)-2])
		}
	}
	for name, c := range map[string]struct {
		good bool
		roleKeys
	}{
		"1 of 1":                  {true, roleKeys{"2", 1, "2"}},
		"1 of 1, more signatures": {true, roleKeys{"1", 1, "314"}},
		"3 of 5, first combo":     {true, roleKeys{"01234", 3, "024"}},
		"3 of 5, second combo":    {true, roleKeys{"01234", 3, "041"}},
		"3 of 5, third combo":     {true, roleKeys{"01234", 3, "234"}},
		"not by the new key":      {false, roleKeys{"2", 1, "134"}},
		"not by 3 of them":        {false, roleKeys{"01345", 3, "024"}},
		"2 of 3":                  {false, roleKeys{"01345", 3, "04"}},
	} {
		for _, role := range []string{timestampRole, snapshotRole, targetsRole} {
			cases["rotation of "+role+": "+name] = func(s *simulator) {
				s.setKeys(s.newKeys(10), role, c.roleKeys)
				s.publish(rootRole)
				for _, r := range []string{targetsRole, snapshotRole, timestampRole} {
					s.publish(r)
				}
				if c.good {
					s.refresh(0)
					s.trustsBytes(role, s.published[role][len(s.published[role])-1])
					return
				}
				s.refresh(1)
			}
		}
	}
	for name, versions := range map[string][]int64{"a version left out": {1, 3}, "the same version": {1, 1}} {
		cases["root rotation: "+name] = func(s *simulator) {
			s.published[rootRole] = nil
			for _, v := range versions {
				s.publishAs(rootRole, v)
			}
			s.lie = answer("/2.root.json", bytesOf(slices.Clone(s.published[rootRole][1])))
			s.refresh(1)
			s.trusts("root 1")
		}
	}
	return cases
}
