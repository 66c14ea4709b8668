package api

import (
	"context"

	"strait"
	"strait/identity"
)

func (k iamDesk) keys() []Operation {
	return []Operation{
		op("CreateAccessKey", "", k.onSelf("iam:CreateAccessKey"), k.createAccessKey),
		op("ListAccessKeys", "", k.mayListAccessKeys, k.listAccessKeys),
		op("UpdateAccessKey", "", k.mayUpdateAccessKey, k.updateAccessKey),
		op("DeleteAccessKey", "", k.mayDeleteAccessKey, k.deleteAccessKey),
		op("GetAccessKeyLastUsed", "", k.mayGetAccessKeyLastUsed, k.getAccessKeyLastUsed),
	}
}

// An accessKey as answers show it; only CreateAccessKey has the secret.
type accessKey struct {
	UserName        string
	AccessKeyId     string
	Status          string
	SecretAccessKey string `xml:",omitempty"`
	CreateDate      Stamp
}

func showKey(k *identity.AccessKey) accessKey {
	out := accessKey{UserName: k.User, AccessKeyId: k.ID, Status: "Active", CreateDate: Stamp(k.Created)}
	if k.Inactive {
		out.Status = "Inactive"
	}
	return out
}

type createAccessKeyOutput struct{ AccessKey accessKey }

func (k iamDesk) createAccessKey(ctx context.Context, _ Call, in *userInput) (*createAccessKeyOutput, error) {
	made, err := k.directory.CreateAccessKey(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &createAccessKeyOutput{showKey(made)}
	out.AccessKey.SecretAccessKey = made.Secret
	return out, nil
}

type userListInput struct {
	UserName string
	Marker   string
	MaxItems *int
}

type listAccessKeysOutput struct {
	UserName          string
	AccessKeyMetadata members[accessKey]
	IsTruncated       bool
	Marker            string `xml:",omitempty"`
}

func (k iamDesk) mayListAccessKeys(_ context.Context, v View, c *Caller, in *userListInput) ([]Ask, error) {
	if err := orSelf(c, &in.UserName); err != nil {
		return nil, err
	}
	return askUser(v, "iam:ListAccessKeys", in.UserName)
}

func (k iamDesk) listAccessKeys(_ context.Context, _ Call, in *userListInput) (*listAccessKeysOutput, error) {
	u, err := k.directory.User(in.UserName)
	if err != nil {
		return nil, err
	}
	all, next, err := cut(pager{in.Marker, in.MaxItems}, k.directory.AccessKeys(u.Name), func(k *identity.AccessKey) string { return k.ID })
	if err != nil {
		return nil, err
	}
	out := &listAccessKeysOutput{UserName: u.Name, IsTruncated: next != "", Marker: next}
	for _, key := range all {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, showKey(key))
	}
	return out, nil
}

type accessKeyInput struct{ UserName, AccessKeyId, Status string }

func checkKeyID(id string) error {
	switch n := len(id); {
	case n == 0:
		return missing("AccessKeyId")
	case n < 16:
		return unfit("accessKeyId", "Member must have length greater than or equal to 16")
	case n > 128:
		return unfit("accessKeyId", "Member must have length less than or equal to 128")
	}
	return nil
}

func (k iamDesk) mayUpdateAccessKey(_ context.Context, v View, c *Caller, in *accessKeyInput) ([]Ask, error) {
	if in.Status == "" {
		return nil, missing("Status")
	}
	if err := checkOneOf("status", in.Status, "Active", "Inactive"); err != nil {
		return nil, err
	}
	return askKey(v, c, "iam:UpdateAccessKey", in)
}

func (k iamDesk) mayDeleteAccessKey(_ context.Context, v View, c *Caller, in *accessKeyInput) ([]Ask, error) {
	return askKey(v, c, "iam:DeleteAccessKey", in)
}

func askKey(v View, c *Caller, action strait.Action, in *accessKeyInput) ([]Ask, error) {
	if err := checkKeyID(in.AccessKeyId); err != nil {
		return nil, err
	}
	if err := orSelf(c, &in.UserName); err != nil {
		return nil, err
	}
	return askUser(v, action, in.UserName)
}

func (k iamDesk) updateAccessKey(ctx context.Context, _ Call, in *accessKeyInput) (*Nothing, error) {
	if _, err := k.directory.User(in.UserName); err != nil {
		return nil, err
	}
	return nil, k.directory.SetAccessKey(ctx, in.UserName, in.AccessKeyId, in.Status == "Inactive")
}

func (k iamDesk) deleteAccessKey(ctx context.Context, _ Call, in *accessKeyInput) (*Nothing, error) {
	if _, err := k.directory.User(in.UserName); err != nil {
		return nil, err
	}
	return nil, k.directory.DeleteAccessKey(ctx, in.UserName, in.AccessKeyId)
}

type lastUsedInput struct{ AccessKeyId string }

type lastUsed struct{ Region, ServiceName string }

type lastUsedOutput struct {
	UserName          string
	AccessKeyLastUsed lastUsed
}

func (k iamDesk) mayGetAccessKeyLastUsed(_ context.Context, v View, _ *Caller, in *lastUsedInput) ([]Ask, error) {
	if err := checkKeyID(in.AccessKeyId); err != nil {
		return nil, err
	}
	key := v.AccessKey(in.AccessKeyId)
	if key == nil {
		return ask("iam:GetAccessKeyLastUsed", v.Place().IAM("user/")), nil
	}
	return askUser(v, "iam:GetAccessKeyLastUsed", key.User)
}

// getAccessKeyLastUsed says whose key it is; when it was used is not kept.
func (k iamDesk) getAccessKeyLastUsed(_ context.Context, _ Call, in *lastUsedInput) (*lastUsedOutput, error) {
	key := k.directory.AccessKey(in.AccessKeyId)
	if key == nil {
		return nil, identity.NoKey(in.AccessKeyId)
	}
	return &lastUsedOutput{key.User, lastUsed{"N/A", "N/A"}}, nil
}
