package api

import (
	"context"
	"slices"

	"strait"
	"strait/function"
)

func (k lambdaDesk) versions() []Operation {
	const f = functionsPath + "/{FunctionName}"
	return []Operation{
		op("PublishVersion", "POST "+f+"/versions", mayWhole[publishInput]("lambda:PublishVersion"), k.publish).status(201),
		op("ListVersionsByFunction", "GET "+f+"/versions", mayWhole[functionVersionsInput]("lambda:ListVersionsByFunction"), k.listVersions),
		op("CreateAlias", "POST "+f+"/aliases", mayWhole[createAliasInput]("lambda:CreateAlias"), k.createAlias).status(201),
		op("GetAlias", "GET "+f+"/aliases/{Name}", mayWhole[functionAliasInput]("lambda:GetAlias"), k.getAlias),
		op("UpdateAlias", "PUT "+f+"/aliases/{Name}", mayWhole[updateAliasInput]("lambda:UpdateAlias"), k.updateAlias),
		op("DeleteAlias", "DELETE "+f+"/aliases/{Name}", mayWhole[functionAliasInput]("lambda:DeleteAlias"), k.deleteAlias).status(204),
		op("ListAliases", "GET "+f+"/aliases", mayWhole[functionAliasesInput]("lambda:ListAliases"), k.listAliases),
	}
}

type publishInput struct {
	FunctionName string `aws:"path,FunctionName" json:"-"`
	CodeSha256   string
	Description  string
	RevisionId   string
	PublishTo    string
}

func (in *publishInput) function() (string, string) { return in.FunctionName, "" }

func (k lambdaDesk) publish(ctx context.Context, _ Call, in *publishInput) (*functionConfiguration, error) {
	if in.PublishTo != "" {
		return nil, strait.Errorf(strait.Unsupported, "parameter", "PublishTo is not offered here.")
	}
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	v, err := k.engine.Publish(ctx, f.Name, in.Description, in.CodeSha256, in.RevisionId)
	if err != nil {
		return nil, err
	}
	return configuration(v, v.Version), nil
}

// deleteFunction forgets a function, or one version of it.
func (k lambdaDesk) deleteFunction(ctx context.Context, _ Call, in *functionInput) (*Nothing, error) {
	t, err := resolve(k.directory, in)
	if err != nil {
		return nil, err
	}
	switch {
	case t.explicit == function.Latest:
		return nil, strait.Errorf(strait.Invalid, "qualifier", "$LATEST version cannot be deleted without deleting the function.")
	case !digits(t.qualifier):
		return nil, strait.Errorf(strait.Invalid, "qualifier", "Deletion of aliases is not currently supported.")
	}
	f, err := k.engine.Get(ctx, t.name)
	if strait.KindOf(err) == strait.NotFound {
		return nil, noFunction(k.directory.Place().Lambda(t.name))
	}
	if err != nil {
		return nil, err
	}
	if t.qualifier != "" { // no error if there is none, as on AWS
		if err := k.engine.DeleteVersion(ctx, t.name, t.qualifier); err != nil && strait.KindOf(err) != strait.NotFound {
			return nil, err
		}
		return nil, k.directory.DropResourcePolicy(ctx, t.arn)
	}
	// The permissions first: a function without them can be invoked by nobody
	// from outside; permissions without a function would wait for the next one
	// of that name.
	vs, err := k.engine.Versions(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	as, err := k.engine.Aliases(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	arns := []strait.ARN{f.ARN}
	for _, v := range vs[1:] {
		arns = append(arns, f.ARN+strait.ARN(":"+v.Version))
	}
	for _, a := range as {
		arns = append(arns, f.ARN+strait.ARN(":"+a.Name))
	}
	for _, arn := range arns {
		if err := k.directory.DropResourcePolicy(ctx, arn); err != nil {
			return nil, err
		}
	}
	return nil, k.engine.Delete(ctx, f.Name)
}

type functionVersionsInput struct {
	FunctionName string `aws:"path,FunctionName" json:"-"`
	Marker       string `aws:"query,Marker" json:"-"`
	MaxItems     int    `aws:"query,MaxItems" json:"-"`
}

func (in *functionVersionsInput) function() (string, string) { return in.FunctionName, "" }

type functionVersionsOutput struct {
	Versions   []*functionConfiguration
	NextMarker string `json:",omitempty"`
}

func (k lambdaDesk) listVersions(ctx context.Context, _ Call, in *functionVersionsInput) (*functionVersionsOutput, error) {
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	all, err := k.engine.Versions(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	out := &functionVersionsOutput{Versions: []*functionConfiguration{}}
	// Terraform asks for 10,000 at once and wants no marker.
	limit := in.MaxItems
	if limit <= 0 || limit > 10000 {
		limit = 50
	}
	for i, v := range all {
		if in.Marker != "" && (i == 0 || !newer(v.Version, in.Marker)) {
			continue
		}
		if len(out.Versions) == limit {
			if out.NextMarker = out.Versions[limit-1].Version; out.NextMarker == function.Latest {
				out.NextMarker = "0"
			}
			break
		}
		c := configuration(v, "")
		c.FunctionArn += strait.ARN(":" + c.Version)
		out.Versions = append(out.Versions, c.listed())
	}
	return out, nil
}

type functionAliasInput struct {
	FunctionName string `aws:"path,FunctionName" json:"-"`
	Name         string `aws:"path,Name" json:"-"`
}

func (in *functionAliasInput) function() (string, string) { return in.FunctionName, "" }

// routing is refused: which version runs must not be a matter of chance here.
type routing struct {
	AdditionalVersionWeights map[string]float64
}

func (r *routing) check() error {
	if r != nil && len(r.AdditionalVersionWeights) > 0 {
		return strait.Errorf(strait.Unsupported, "parameter", "An alias with weights for a second version (RoutingConfig) is not offered here.")
	}
	return nil
}

type createAliasInput struct {
	FunctionName    string `aws:"path,FunctionName" json:"-"`
	Name            string
	FunctionVersion string
	Description     string
	RoutingConfig   *routing
}

func (in *createAliasInput) function() (string, string) { return in.FunctionName, "" }

type aliasConfiguration struct {
	AliasArn        strait.ARN
	Name            string
	FunctionVersion string
	Description     string
	RevisionId      string
}

func (k lambdaDesk) aliasConfiguration(a function.Alias) *aliasConfiguration {
	return &aliasConfiguration{k.directory.Place().Lambda(a.Function + ":" + a.Name), a.Name, a.Version, a.Description, a.Revision}
}

func (k lambdaDesk) createAlias(ctx context.Context, _ Call, in *createAliasInput) (*aliasConfiguration, error) {
	if err := in.RoutingConfig.check(); err != nil {
		return nil, err
	}
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	a, err := k.engine.CreateAlias(ctx, function.Alias{Function: f.Name, Name: in.Name, Version: in.FunctionVersion, Description: in.Description})
	if err != nil {
		return nil, err
	}
	return k.aliasConfiguration(a), nil
}

func (k lambdaDesk) getAlias(ctx context.Context, _ Call, in *functionAliasInput) (*aliasConfiguration, error) {
	t, err := wholeFunction(k.directory, in)
	if err != nil {
		return nil, err
	}
	a, err := k.engine.Alias(ctx, t.name, in.Name)
	if err != nil {
		return nil, err
	}
	return k.aliasConfiguration(a), nil
}

type updateAliasInput struct {
	FunctionVersion *string
	Description     *string
	RoutingConfig   *routing
	RevisionId      string
	FunctionName    string `aws:"path,FunctionName" json:"-"`
	Name            string `aws:"path,Name" json:"-"`
}

func (in *updateAliasInput) function() (string, string) { return in.FunctionName, "" }

func (k lambdaDesk) updateAlias(ctx context.Context, _ Call, in *updateAliasInput) (*aliasConfiguration, error) {
	if err := in.RoutingConfig.check(); err != nil {
		return nil, err
	}
	t, err := wholeFunction(k.directory, in)
	if err != nil {
		return nil, err
	}
	a, err := k.engine.UpdateAlias(ctx, t.name, in.Name, in.RevisionId, func(a *function.Alias) {
		set(&a.Version, in.FunctionVersion)
		set(&a.Description, in.Description)
	})
	if strait.KindOf(err) == strait.NotFound {
		if _, gone := k.engine.Alias(ctx, t.name, in.Name); gone != nil {
			err = strait.Errorf(strait.NotFound, "alias", "Alias not found: %.500s", t.arn+strait.ARN(":"+in.Name))
		}
	}
	if err != nil {
		return nil, err
	}
	return k.aliasConfiguration(a), nil
}

func (k lambdaDesk) deleteAlias(ctx context.Context, _ Call, in *functionAliasInput) (*Nothing, error) {
	f, t, err := k.find(ctx, in)
	if strait.KindOf(err) == strait.NotFound {
		return nil, nil // the model has no such error here, as for an alias that is not there
	}
	if err != nil {
		return nil, err
	}
	if err := k.directory.DropResourcePolicy(ctx, t.arn+strait.ARN(":"+in.Name)); err != nil {
		return nil, err
	}
	return nil, k.engine.DeleteAlias(ctx, f.Name, in.Name)
}

type functionAliasesInput struct {
	FunctionName string `aws:"path,FunctionName" json:"-"`
	Version      string `aws:"query,FunctionVersion" json:"-"`
	Marker       string `aws:"query,Marker" json:"-"`
	MaxItems     int    `aws:"query,MaxItems" json:"-"`
}

func (in *functionAliasesInput) function() (string, string) { return in.FunctionName, "" }

type functionAliasesOutput struct {
	Aliases    []*aliasConfiguration
	NextMarker string `json:",omitempty"`
}

func (k lambdaDesk) listAliases(ctx context.Context, _ Call, in *functionAliasesInput) (*functionAliasesOutput, error) {
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	all, err := k.engine.Aliases(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a function.Alias) bool {
		return in.Version != "" && a.Version != in.Version || a.Name <= in.Marker
	})
	limit := in.MaxItems
	if limit <= 0 || limit > 10000 {
		limit = 50
	}
	out := &functionAliasesOutput{Aliases: []*aliasConfiguration{}}
	for i, a := range all {
		if i == limit {
			out.NextMarker = all[i-1].Name
			break
		}
		out.Aliases = append(out.Aliases, k.aliasConfiguration(a))
	}
	return out, nil
}
