package api

import (
	"cmp"
	"context"
	"encoding/xml"
	"strings"

	"strait"
	"strait/identity"
	"strait/policy"
)

func (k iamDesk) users() []Operation {
	return []Operation{
		op("CreateUser", "", k.mayCreateUser, k.createUser),
		op("GetUser", "", k.onSelf("iam:GetUser"), k.getUser),
		op("UpdateUser", "", k.mayUpdateUser, k.updateUser),
		op("DeleteUser", "", k.onUser("iam:DeleteUser"), k.deleteUser),
		op("ListUsers", "", k.mayListUsers, k.listUsers),

		// What a user here never has; clients ask before they delete one.
		op("ListGroupsForUser", "", k.onUser("iam:ListGroupsForUser"), k.none("Groups")),
		op("ListMFADevices", "", k.onSelf("iam:ListMFADevices"), k.none("MFADevices")),
		op("ListSSHPublicKeys", "", k.onSelf("iam:ListSSHPublicKeys"), k.none("SSHPublicKeys")),
		op("ListSigningCertificates", "", k.onSelf("iam:ListSigningCertificates"), k.none("Certificates")),
		op("ListServiceSpecificCredentials", "", k.onSelf("iam:ListServiceSpecificCredentials"), k.none("ServiceSpecificCredentials")),
		op("ListVirtualMFADevices", "", k.mayListVirtualMFA, k.listVirtualMFA),
		op("GetLoginProfile", "", k.onSelf("iam:GetLoginProfile"), k.noLoginProfile),
		op("DeleteLoginProfile", "", k.onSelf("iam:DeleteLoginProfile"), k.noLoginProfile),
	}
}

// A user as answers show it; lists leave out what GetUser alone has.
type user struct {
	Path                string
	UserName            string
	UserId              string
	Arn                 strait.ARN
	CreateDate          Stamp
	PermissionsBoundary *boundary    `xml:",omitempty"`
	Tags                members[tag] `xml:",omitempty"`
}

func (k iamDesk) showUser(u *identity.User, whole bool) user {
	out := user{Path: u.Path, UserName: u.Name, UserId: u.ID, Arn: u.ARN(k.directory.Place()), CreateDate: Stamp(u.Created)}
	if whole {
		out.PermissionsBoundary, out.Tags = boundaryOf(u.Boundary), tagList(u.Tags)
	}
	return out
}

type userOutput struct{ User user }

type createUserInput struct {
	UserName            string
	Path                string
	PermissionsBoundary strait.ARN
	Tags                []tag
}

func (k iamDesk) mayCreateUser(_ context.Context, v View, _ *Caller, in *createUserInput) ([]Ask, error) {
	if err := identity.CheckName("userName", in.UserName, 64); err != nil {
		return nil, err
	}
	path, err := identity.CheckPath(in.Path)
	if err != nil {
		return nil, err
	}
	return askCreate("User", v.Place().IAM("user"+path+in.UserName), in.PermissionsBoundary, in.Tags)
}

func (k iamDesk) createUser(ctx context.Context, _ Call, in *createUserInput) (*userOutput, error) {
	tags, err := tagged(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	u, err := k.directory.CreateUser(ctx, identity.User{Name: in.UserName, Path: in.Path, Boundary: in.PermissionsBoundary, Tags: tags})
	if err != nil {
		return nil, err
	}
	return &userOutput{k.showUser(u, true)}, nil
}

type userInput struct{ UserName string }

// onUser makes the asks of an operation that must name a user.
func (k iamDesk) onUser(action strait.Action) func(context.Context, View, *Caller, *userInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *userInput) ([]Ask, error) {
		return askUser(v, action, in.UserName)
	}
}

// onSelf is onUser where no name means the caller.
func (k iamDesk) onSelf(action strait.Action) func(context.Context, View, *Caller, *userInput) ([]Ask, error) {
	return func(_ context.Context, v View, c *Caller, in *userInput) ([]Ask, error) {
		if err := orSelf(c, &in.UserName); err != nil {
			return nil, err
		}
		return askUser(v, action, in.UserName)
	}
}

// orSelf puts the caller's name where none is given.
func orSelf(c *Caller, name *string) error {
	switch {
	case *name != "":
	case c.Kind == strait.User:
		*name = c.Name
	default:
		return strait.Errorf(strait.Invalid, "parameter", "Must specify userName when calling with non-User credentials")
	}
	return nil
}

// askUser asks for action on the user called name; see askRole.
func askUser(v View, action strait.Action, name string) ([]Ask, error) {
	if err := identity.CheckName("userName", name, 64); err != nil {
		return nil, err
	}
	u, err := v.User(name)
	if err != nil {
		return ask(action, v.Place().IAM("user/"+name)), nil
	}
	return askWith(action, u.ARN(v.Place()), policy.Context{}), nil
}

func (k iamDesk) getUser(_ context.Context, _ Call, in *userInput) (*userOutput, error) {
	u, err := k.directory.User(in.UserName)
	if err != nil {
		return nil, err
	}
	return &userOutput{k.showUser(u, true)}, nil
}

type updateUserInput struct{ UserName, NewUserName, NewPath string }

// mayUpdateUser: who renames Bob to Robert needs the permission on both.
func (k iamDesk) mayUpdateUser(_ context.Context, v View, _ *Caller, in *updateUserInput) ([]Ask, error) {
	if in.NewUserName != "" {
		if err := identity.CheckName("newUserName", in.NewUserName, 64); err != nil {
			return nil, err
		}
	}
	if _, err := identity.CheckPath(in.NewPath); err != nil {
		return nil, err
	}
	asks, err := askUser(v, "iam:UpdateUser", in.UserName)
	if err != nil {
		return nil, err
	}
	next := identity.User{Name: in.NewUserName, Path: in.NewPath}
	if u, err := v.User(in.UserName); err == nil {
		next.Name, next.Path = cmp.Or(next.Name, u.Name), cmp.Or(next.Path, u.Path)
		if arn := next.ARN(v.Place()); arn != u.ARN(v.Place()) {
			asks = append(asks, Ask{Action: "iam:UpdateUser", Resource: arn})
		}
	}
	return asks, nil
}

// updateUser renames whom the permission was asked for, and nobody else.
func (k iamDesk) updateUser(ctx context.Context, c Call, in *updateUserInput) (*Nothing, error) {
	return nil, k.directory.RenameUser(ctx, c.Asks[0].Resource, in.NewUserName, in.NewPath)
}

func (k iamDesk) deleteUser(ctx context.Context, _ Call, in *userInput) (*Nothing, error) {
	return nil, k.directory.DeleteUser(ctx, in.UserName)
}

type listUsersOutput struct {
	Users       members[user]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (k iamDesk) mayListUsers(_ context.Context, v View, _ *Caller, in *entitiesInput) ([]Ask, error) {
	return ask("iam:ListUsers", below(v.Place(), "user", in.PathPrefix)), checkPrefix(in.PathPrefix)
}

func (k iamDesk) listUsers(_ context.Context, _ Call, in *entitiesInput) (*listUsersOutput, error) {
	var all []*identity.User
	for _, u := range k.directory.Users() {
		if strings.HasPrefix(u.Path, in.PathPrefix) {
			all = append(all, u)
		}
	}
	all, next, err := cut(pager{in.Marker, in.MaxItems}, all, func(u *identity.User) string { return strings.ToLower(u.Name) })
	if err != nil {
		return nil, err
	}
	out := &listUsersOutput{IsTruncated: next != "", Marker: next}
	for _, u := range all {
		out.Users = append(out.Users, k.showUser(u, false))
	}
	return out, nil
}

// An emptyList is the answer that has no items in the list of its name.
type emptyList string

// MarshalXML writes the list and that it ends here.
func (l emptyList) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	if err := e.EncodeElement(members[Nothing]{}, xml.StartElement{Name: xml.Name{Local: string(l)}}); err != nil {
		return err
	}
	if err := e.EncodeElement(false, xml.StartElement{Name: xml.Name{Local: "IsTruncated"}}); err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

// none answers that an existing user has nothing of that kind.
func (k iamDesk) none(name string) func(context.Context, Call, *userInput) (*emptyList, error) {
	return func(_ context.Context, _ Call, in *userInput) (*emptyList, error) {
		_, err := k.directory.User(in.UserName)
		l := emptyList(name)
		return &l, err
	}
}

func (k iamDesk) mayListVirtualMFA(_ context.Context, v View, _ *Caller, _ *Nothing) ([]Ask, error) {
	return ask("iam:ListVirtualMFADevices", v.Place().IAM("mfa/")), nil
}

func (k iamDesk) listVirtualMFA(context.Context, Call, *Nothing) (*emptyList, error) {
	l := emptyList("VirtualMFADevices")
	return &l, nil
}

func (k iamDesk) noLoginProfile(_ context.Context, _ Call, in *userInput) (*Nothing, error) {
	if _, err := k.directory.User(in.UserName); err != nil {
		return nil, err
	}
	return nil, strait.Errorf(strait.NotFound, "login profile", "Login Profile for User %s cannot be found.", in.UserName)
}
