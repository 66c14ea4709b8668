package identity

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/identity/template"
)

// A ProvisioningTemplate says what devices get that come for the first time
// (iot-control-plane.md, section 8). Versions are numbered from 1, and numbers
// are not used again.
type ProvisioningTemplate struct {
	Name, Description string
	Type              string // FLEET_PROVISIONING or JITP
	Enabled           bool
	Role              strait.ARN // in whose name devices are provisioned
	Hook              *Hook      // asked before; nil for none
	Versions          map[int]TemplateVersion
	Default, Last     int
	Created, Modified time.Time
}

// A Hook is the function that is asked whether a device may be provisioned.
type Hook struct {
	Function       strait.ARN
	PayloadVersion string
}

// A TemplateVersion is one text of a template.
type TemplateVersion struct {
	Body    string
	Created time.Time
}

// Quotas (iot-control-plane.md, section 9).
const (
	maxTemplates        = 256
	maxTemplateVersions = 5
)

var templateRE = regexp.MustCompile(`^[0-9A-Za-z_-]{1,36}$`)

// ARN names t.
func (t *ProvisioningTemplate) ARN(p strait.Place) strait.ARN {
	return p.IoT("provisioningtemplate/" + t.Name)
}

// Body is the text of the default version.
func (t *ProvisioningTemplate) Body() string { return t.Versions[t.Default].Body }

func (t *ProvisioningTemplate) check() error {
	if !templateRE.MatchString(t.Name) {
		return strait.Errorf(strait.Invalid, "request", "The template name %q is invalid: 1 to 36 of [0-9A-Za-z_-].", t.Name)
	}
	if t.Type != "FLEET_PROVISIONING" && t.Type != "JITP" {
		return strait.Errorf(strait.Invalid, "request", "The template type %q is invalid: it is FLEET_PROVISIONING or JITP.", t.Type)
	}
	if p, err := t.Role.Parse(); err != nil || p.Service != "iam" || !strings.HasPrefix(p.Resource, "role/") {
		return strait.Errorf(strait.Invalid, "request", "The provisioning role ARN %q is invalid.", t.Role)
	}
	if t.Type == "JITP" && t.Hook != nil {
		return strait.Errorf(strait.Invalid, "request", "A template of the type JITP has no pre-provisioning hook.")
	}
	if len(t.Description) > 500 {
		return strait.Errorf(strait.Invalid, "request", "A description has at most 500 characters.")
	}
	return nil
}

func noTemplate(name string) error {
	return strait.Errorf(strait.NotFound, "template", "Provisioning template %s not found.", name)
}

// CreateTemplate adds t, with tags and with body as version 1.
func (d *Directory) CreateTemplate(ctx context.Context, t ProvisioningTemplate, body string, tags []Tag) (*ProvisioningTemplate, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if _, err := template.Parse(body); err != nil {
		return nil, err
	}
	now := d.now().UTC()
	t.Created, t.Modified, t.Default, t.Last = now, now, 1, 1
	t.Versions = map[int]TemplateVersion{1: {body, now}}
	return &t, d.update(ctx, func(x *tx) error {
		if d.templates.get(t.Name) != nil {
			return &strait.Error{Kind: strait.Exists, Thing: "template", Message: "Provisioning template " + t.Name + " already exists.",
				Detail: map[string]string{"resourceId": t.Name, "resourceArn": string(t.ARN(d.place))}}
		}
		if len(d.templates.rows) >= maxTemplates {
			return strait.Errorf(strait.Limit, "template", "An account has at most %d provisioning templates.", maxTemplates)
		}
		if err := d.tag(x, t.ARN(d.place), tags); err != nil {
			return err
		}
		return put(x, &d.templates, t.Name, &t)
	})
}

// Template returns the provisioning template called name.
func (d *Directory) Template(name string) (*ProvisioningTemplate, error) {
	if t := read(d, &d.templates, name); t != nil {
		return t, nil
	}
	return nil, noTemplate(name)
}

// Templates returns all provisioning templates by name.
func (d *Directory) Templates() []*ProvisioningTemplate { return list(d, &d.templates) }

// ChangeTemplate applies fn to a copy of the template.
func (d *Directory) ChangeTemplate(ctx context.Context, name string, fn func(t *ProvisioningTemplate) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.templates.get(name)
		if old == nil {
			return noTemplate(name)
		}
		t := *old
		t.Versions = maps.Clone(t.Versions)
		if err := fn(&t); err != nil {
			return err
		}
		if err := t.check(); err != nil {
			return err
		}
		t.Modified = d.now().UTC()
		return put(x, &d.templates, name, &t)
	})
}

// AddTemplateVersion adds body as a new version, and returns its number.
func (d *Directory) AddTemplateVersion(ctx context.Context, name, body string, asDefault bool) (int, error) {
	if _, err := template.Parse(body); err != nil {
		return 0, err
	}
	id := 0
	err := d.ChangeTemplate(ctx, name, func(t *ProvisioningTemplate) error {
		if len(t.Versions) >= maxTemplateVersions {
			return strait.Errorf(strait.Limit, "template version", "The template %s already has the maximum number of versions (%d).", name, maxTemplateVersions)
		}
		t.Last++
		id = t.Last
		t.Versions[id] = TemplateVersion{body, d.now().UTC()}
		if asDefault {
			t.Default = id
		}
		return nil
	})
	return id, err
}

// DeleteTemplate removes a template that no authority provisions by.
func (d *Directory) DeleteTemplate(ctx context.Context, name string) error {
	return d.update(ctx, func(x *tx) error {
		t := d.templates.get(name)
		if t == nil {
			return noTemplate(name)
		}
		for _, c := range d.authorities.sorted() {
			if c.Registration.Template == name {
				return strait.Errorf(strait.Conflict, "deletion", "The template %s is used by the CA certificate %s.", name, c.ID)
			}
		}
		d.untagAll(x, t.ARN(d.place))
		remove(x, &d.templates, name)
		return nil
	})
}

// VersionIDs returns the numbers of t's versions, the newest first.
func (t *ProvisioningTemplate) VersionIDs() []int {
	ids := slices.Sorted(maps.Keys(t.Versions))
	slices.Reverse(ids)
	return ids
}
