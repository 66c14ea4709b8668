package api

import (
	"context"
	"time"

	"strait"
	"strait/identity"
)

// credentialsService is who takes the role behind a role alias.
const credentialsService = "credentials.iot.amazonaws.com"

func (k iotDesk) aliases() []Operation {
	const one = "/role-aliases/{roleAlias}"
	return []Operation{
		op("CreateRoleAlias", "POST "+one, k.mayCreateAlias, k.createAlias),
		op("DescribeRoleAlias", "GET "+one, onIoT[aliasInput]("iot:DescribeRoleAlias"), k.describeAlias),
		op("UpdateRoleAlias", "PUT "+one, k.mayUpdateAlias, k.updateAlias),
		op("DeleteRoleAlias", "DELETE "+one, onIoT[aliasInput]("iot:DeleteRoleAlias"), k.deleteAlias),
		op("ListRoleAliases", "GET /role-aliases", on[listAliasesInput]("iot:ListRoleAliases", "*"), k.listAliases),
	}
}

type aliasInput struct {
	Name string `aws:"path,roleAlias"`
}

func (in *aliasInput) resource() string { return "rolealias/" + in.Name }

type putAliasInput struct {
	Name    string     `aws:"path,roleAlias" json:"-"`
	Role    strait.ARN `json:"roleArn"`
	Seconds *int64     `json:"credentialDurationSeconds"`
	Tags    []tag      `json:"tags"` // when it is made
}

type aliasOutput struct {
	Name string     `json:"roleAlias"`
	ARN  strait.ARN `json:"roleAliasArn"`
}

// mayCreateAlias: whoever makes an alias hands its role to IoT.
func (k iotDesk) mayCreateAlias(_ context.Context, v View, _ *Caller, in *putAliasInput) ([]Ask, error) {
	return append(taggedAsk("iot:CreateRoleAlias", v.Place().IoT("rolealias/"+in.Name), in.Tags), passRole(in.Role, credentialsService)), nil
}

func (k iotDesk) mayUpdateAlias(_ context.Context, v View, _ *Caller, in *putAliasInput) ([]Ask, error) {
	asks := ask("iot:UpdateRoleAlias", v.Place().IoT("rolealias/"+in.Name))
	if in.Role != "" {
		asks = append(asks, passRole(in.Role, credentialsService))
	}
	return asks, nil
}

func (in *putAliasInput) duration() time.Duration {
	if in.Seconds == nil {
		return time.Hour
	}
	return time.Duration(min(max(*in.Seconds, 0), 1<<20)) * time.Second
}

func (k iotDesk) createAlias(ctx context.Context, _ Call, in *putAliasInput) (*aliasOutput, error) {
	a, err := k.directory.CreateRoleAlias(ctx, identity.RoleAlias{Name: in.Name, Role: in.Role, Duration: in.duration()}, tagsOf(in.Tags))
	if err != nil {
		return nil, err
	}
	return &aliasOutput{a.Name, a.ARN(k.directory.Place())}, nil
}

func (k iotDesk) updateAlias(ctx context.Context, _ Call, in *putAliasInput) (*aliasOutput, error) {
	a, err := k.directory.ChangeRoleAlias(ctx, in.Name, func(a *identity.RoleAlias) {
		if in.Role != "" {
			a.Role = in.Role
		}
		if in.Seconds != nil {
			a.Duration = in.duration()
		}
	})
	if err != nil {
		return nil, err
	}
	return &aliasOutput{a.Name, a.ARN(k.directory.Place())}, nil
}

type aliasDescription struct {
	Name     string     `json:"roleAlias"`
	ARN      strait.ARN `json:"roleAliasArn"`
	Role     strait.ARN `json:"roleArn"`
	Owner    string     `json:"owner"`
	Seconds  int        `json:"credentialDurationSeconds"`
	Created  Epoch      `json:"creationDate"`
	Modified Epoch      `json:"lastModifiedDate"`
}

type describeAliasOutput struct {
	Description aliasDescription `json:"roleAliasDescription"`
}

func (k iotDesk) describeAlias(_ context.Context, _ Call, in *aliasInput) (*describeAliasOutput, error) {
	a, err := k.directory.RoleAlias(in.Name)
	if err != nil {
		return nil, err
	}
	p := k.directory.Place()
	return &describeAliasOutput{aliasDescription{a.Name, a.ARN(p), a.Role, p.Account, int(a.Duration / time.Second), Epoch(a.Created), Epoch(a.Modified)}}, nil
}

func (k iotDesk) deleteAlias(ctx context.Context, _ Call, in *aliasInput) (*Nothing, error) {
	return nil, k.directory.DeleteRoleAlias(ctx, in.Name)
}

type listAliasesInput struct {
	Marker    string `aws:"query,marker"`
	Size      *int   `aws:"query,pageSize"`
	Ascending bool   `aws:"query,isAscendingOrder"`
}

type listAliasesOutput struct {
	Names  []string `json:"roleAliases"`
	Marker string   `json:"nextMarker,omitempty"`
}

func (k iotDesk) listAliases(_ context.Context, _ Call, in *listAliasesInput) (*listAliasesOutput, error) {
	as, next, err := page(k.directory.RoleAliases(), func(a *identity.RoleAlias) string { return a.Name }, in.Marker, in.Size)
	out := &listAliasesOutput{Names: []string{}, Marker: next}
	for _, a := range as {
		out.Names = append(out.Names, a.Name)
	}
	return out, err
}
