package tuf

import "slices"

// RoleKeys says whom the root trusts with a role.
type RoleKeys struct {
	Role      Role     `json:"role"`
	Threshold int      `json:"threshold"` // how many of them must sign
	Keys      []string `json:"keys"`      // ids
}

// Trusted says whom the newest root trusts: root, targets, online.
func (r *Repository) Trusted() []RoleKeys {
	var list []RoleKeys
	for _, role := range Roles() {
		trust := r.trusted.Root.Signed.Roles[role.metadataRoles()[0]]
		list = append(list, RoleKeys{Role: role, Threshold: trust.Threshold, Keys: slices.Clone(trust.KeyIDs)})
	}
	return list
}
