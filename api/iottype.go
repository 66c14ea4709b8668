package api

import (
	"context"

	"strait"
	"strait/identity"
)

func (k iotDesk) thingTypes() []Operation {
	const one = "/thing-types/{thingTypeName}"
	return []Operation{
		op("CreateThingType", "POST "+one, k.mayCreateType, k.createType),
		op("DescribeThingType", "GET "+one, onIoT[typeInput]("iot:DescribeThingType"), k.describeType),
		op("DeprecateThingType", "POST "+one+"/deprecate", onIoT[deprecateInput]("iot:DeprecateThingType"), k.deprecateType),
		op("DeleteThingType", "DELETE "+one, onIoT[typeInput]("iot:DeleteThingType"), k.deleteType),
		op("ListThingTypes", "GET /thing-types", on[listTypesInput]("iot:ListThingTypes", "*"), k.listTypes),
	}
}

type typeInput struct {
	Type string `aws:"path,thingTypeName" json:"-"`
}

func (in *typeInput) resource() string { return "thingtype/" + in.Type }

type typeProperties struct {
	Description string   `json:"thingTypeDescription,omitempty"`
	Searchable  []string `json:"searchableAttributes,omitempty"`
	// MQTT5 is read to be refused: propagating attributes is not offered.
	MQTT5 map[string]any `json:"mqtt5Configuration,omitempty"`
}

type createTypeInput struct {
	Type       string         `aws:"path,thingTypeName" json:"-"`
	Properties typeProperties `json:"thingTypeProperties"`
	Tags       []tag          `json:"tags"`
}

type createTypeOutput struct {
	Name string     `json:"thingTypeName"`
	ARN  strait.ARN `json:"thingTypeArn"`
	ID   string     `json:"thingTypeId"`
}

func (k iotDesk) mayCreateType(_ context.Context, v View, _ *Caller, in *createTypeInput) ([]Ask, error) {
	return taggedAsk("iot:CreateThingType", v.Place().IoT("thingtype/"+in.Type), in.Tags), nil
}

func (k iotDesk) createType(ctx context.Context, _ Call, in *createTypeInput) (*createTypeOutput, error) {
	if len(in.Properties.MQTT5) > 0 {
		return nil, strait.Errorf(strait.Unsupported, "request", "The mqtt5Configuration of a thing type is not offered here.")
	}
	t, err := k.directory.CreateThingType(ctx, identity.ThingType{Name: in.Type, Description: in.Properties.Description, Searchable: in.Properties.Searchable}, tagsOf(in.Tags))
	if err != nil {
		return nil, err
	}
	return &createTypeOutput{t.Name, t.ARN(k.directory.Place()), t.ID}, nil
}

type typeMetadata struct {
	Deprecated   bool   `json:"deprecated"`
	DeprecatedAt *Epoch `json:"deprecationDate,omitempty"`
	Created      Epoch  `json:"creationDate"`
}

type describeTypeOutput struct {
	Name       string         `json:"thingTypeName"`
	ID         string         `json:"thingTypeId,omitempty"`
	ARN        strait.ARN     `json:"thingTypeArn"`
	Properties typeProperties `json:"thingTypeProperties"`
	Metadata   typeMetadata   `json:"thingTypeMetadata"`
}

func (k iotDesk) showType(t *identity.ThingType) describeTypeOutput {
	out := describeTypeOutput{Name: t.Name, ID: t.ID, ARN: t.ARN(k.directory.Place()),
		Properties: typeProperties{Description: t.Description, Searchable: t.Searchable},
		Metadata:   typeMetadata{Created: Epoch(t.Created)}}
	if !t.Deprecated.IsZero() {
		at := Epoch(t.Deprecated)
		out.Metadata.Deprecated, out.Metadata.DeprecatedAt = true, &at
	}
	return out
}

func (k iotDesk) describeType(_ context.Context, _ Call, in *typeInput) (*describeTypeOutput, error) {
	t, err := k.directory.ThingType(in.Type)
	if err != nil {
		return nil, err
	}
	out := k.showType(t)
	return &out, nil
}

type deprecateInput struct {
	Type string `aws:"path,thingTypeName" json:"-"`
	Undo bool   `json:"undoDeprecate"`
}

func (in *deprecateInput) resource() string { return "thingtype/" + in.Type }

func (k iotDesk) deprecateType(ctx context.Context, _ Call, in *deprecateInput) (*Nothing, error) {
	return nil, k.directory.DeprecateThingType(ctx, in.Type, in.Undo)
}

func (k iotDesk) deleteType(ctx context.Context, _ Call, in *typeInput) (*Nothing, error) {
	return nil, k.directory.DeleteThingType(ctx, in.Type)
}

type listTypesInput struct {
	Token string `aws:"query,nextToken"`
	Limit *int   `aws:"query,maxResults"`
	Type  string `aws:"query,thingTypeName"`
}

type listTypesOutput struct {
	Types []describeTypeOutput `json:"thingTypes"`
	Token string               `json:"nextToken,omitempty"`
}

func (k iotDesk) listTypes(_ context.Context, _ Call, in *listTypesInput) (*listTypesOutput, error) {
	var found []*identity.ThingType
	for _, t := range k.directory.ThingTypes() {
		if in.Type == "" || t.Name == in.Type {
			found = append(found, t)
		}
	}
	found, token, err := page(found, func(t *identity.ThingType) string { return t.Name }, in.Token, in.Limit)
	out := &listTypesOutput{Types: []describeTypeOutput{}, Token: token}
	for _, t := range found {
		shown := k.showType(t)
		shown.ID = "" // lists have none
		out.Types = append(out.Types, shown)
	}
	return out, err
}
