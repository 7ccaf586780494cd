// Package config reads the agent's one configuration file.
//
// The file is YAML and read strictly: an unknown key, a key given twice and a
// value of the wrong kind are errors, and all of them are reported at once,
// each with its line, its column and its key ([Error]). No file at all is a
// working configuration ([Default]).
//
// The package knows what may stand in the file and what a text in it means. It
// refuses to know what the agent does with it: it opens no store, asks no
// directory and decides about no container.
package config

import "time"

// Config is the whole configuration, with every default filled in. Its yaml
// tags are the names of the keys; docs/configuration.md describes them.
type Config struct {
	StateDir   string       `yaml:"state_dir"` // the agent's own folder: grants, local store, audit trail
	Audit      Audit        `yaml:"audit"`
	Channels   Channels     `yaml:"channels"`
	Containerd []Containerd `yaml:"containerd"` // empty: no containerd is watched
	CCG        CCG          `yaml:"ccg"`

	Docker          Docker          `yaml:"docker"`
	CredentialSpecs CredentialSpecs `yaml:"credential_specs"`
	Secrets         Secrets         `yaml:"secrets"`
	Policy          Policy          `yaml:"policy"`
	Directory       Directory       `yaml:"directory"`
	AWS             AWS             `yaml:"aws"`
	Kubernetes      Kubernetes      `yaml:"kubernetes"`
	DomainJoined    Joined          `yaml:"domain_joined"`
	Adopt           []string        `yaml:"adopt"` // CLSIDs of other CCG plugins, as CanonicalGUID writes them
	Log             Log             `yaml:"log"`
	EventLog        EventLog        `yaml:"event_log"`

	path   string
	digest digest

	assumed bool // Containerd does not stand in the file
}

// Path is the file that the configuration was read from; empty if there was none.
func (c *Config) Path() string { return c.path }

// ContainerdAssumed says that nobody has said which containerds this host has:
// Containerd is the platform's, which may not be there.
func (c *Config) ContainerdAssumed() bool { return c.assumed }

// Audit says where the audit trail goes and how much of it is kept.
type Audit struct {
	File    string `yaml:"file"`
	MaxSize Size   `yaml:"max_size"` // a file that would grow beyond is rotated
	Keep    int    `yaml:"keep"`     // rotated files beside the one being written
}

// Channels are the agent's two local channels.
type Channels struct {
	Control Control `yaml:"control"`
	Plugin  Plugin  `yaml:"plugin"`
}

// Control is the channel of administrators: the CLI and the shim wrapper.
type Control struct {
	Endpoint string `yaml:"endpoint"` // pipe name or socket path; empty: the platform's
}

// Plugin is the channel of CCG's plugin host.
type Plugin struct {
	Endpoint string   `yaml:"endpoint"`         // pipe name or socket path; empty: the platform's
	Users    []string `yaml:"users,omitempty"`  // who may call: SIDs, or "uid:0"; nil: the platform's
	Images   []string `yaml:"images,omitempty"` // programs that may call, by path; nil: the platform's
}

// Containerd is one containerd that the agent watches.
type Containerd struct {
	Address    string   `yaml:"address"`
	Namespaces []string `yaml:"namespaces"` // empty: all
	// StateDir is containerd's state folder, where the bundles are; empty: the
	// platform's default.
	StateDir string `yaml:"state_dir,omitempty"`
	Inject   Inject `yaml:"inject"`
}

// Inject says whether the agent writes the admitted document on containerd's
// create event.
type Inject string

// The values of Inject.
const (
	InjectAuto   Inject = "auto"   // where the shim wrapper has not done it
	InjectAlways Inject = "always" // also where it has
	InjectNever  Inject = "never"  // the wrapper alone does it
)

// CCG says what becomes of CCG instances whose container is gone.
type CCG struct {
	Reap     Switch        `yaml:"reap"`     // remove them
	Interval time.Duration `yaml:"interval"` // from one look to the next
	Grace    time.Duration `yaml:"grace"`    // how long everybody must agree that the container is gone
}

// Docker is the plain Docker whose containers are given credential specs.
type Docker struct {
	Enabled  Enabled               `yaml:"enabled"`
	Endpoint string                `yaml:"endpoint"`       // of its API
	Root     string                `yaml:"root,omitempty"` // its data folder; empty: as Docker says
	Gate     DockerGate            `yaml:"gate"`
	Refresh  DockerRefresh         `yaml:"refresh"`
	Specs    map[string]DockerSpec `yaml:"specs,omitempty"` // by the name of the file, without ".json"
}

// DockerGate is the authorization plugin that dockerd asks.
type DockerGate struct {
	Endpoint string `yaml:"endpoint"` // pipe name or socket path; empty: the platform's
}

// DockerRefresh says how often the source of a credential spec is asked while
// containers use it.
type DockerRefresh struct {
	Local  time.Duration `yaml:"local"`  // file://, registry://
	HTTPS  time.Duration `yaml:"https"`  // https://: an unchanged document costs its server an answer without one
	Remote time.Duration `yaml:"remote"` // all others, most of which cost money or have limits
}

// DockerSpec is a credential spec that is kept where Docker reads it.
type DockerSpec struct {
	Reference string `yaml:"reference"`          // where it is from
	Secret    string `yaml:"secret,omitempty"`   // a secret reference; empty: the one that serves the domain
	Registry  Switch `yaml:"registry,omitempty"` // it is kept in Docker's registry key, too
}

// Enabled says whether a part of the agent is at work.
type Enabled string

// The values of Enabled.
const (
	EnabledAuto  Enabled = "auto" // where there is something for it to do
	EnabledTrue  Enabled = "true"
	EnabledFalse Enabled = "false"
)

// CredentialSpecs are the settings of the credential-spec sources.
type CredentialSpecs struct {
	Folders []string      `yaml:"folders"` // where file:// looks, in this order
	Timeout time.Duration `yaml:"timeout"` // of one request for a remote document, all of it
	Cache   SpecCache     `yaml:"cache"`
	HTTPS   HTTPS         `yaml:"https"`
	OCI     OCI           `yaml:"oci"`
}

// SpecCache keeps the last good document of every remote reference on disk.
type SpecCache struct {
	Dir   string        `yaml:"dir"`
	Fresh time.Duration `yaml:"fresh"` // used without asking its source; 0: the source is always asked
	Stale time.Duration `yaml:"stale"` // used while its source is down, after the source confirmed it last; 0: never
}

// HTTPS are the settings of https:// references.
type HTTPS struct {
	CAFile          string               `yaml:"ca_file,omitempty"` // PEM certificates that sign servers'; empty: the system's
	Proxy           string               `yaml:"proxy,omitempty"`   // URL of an HTTP proxy; empty: none
	AllowLinkLocal  Switch               `yaml:"allow_link_local,omitempty"`
	Hosts           map[string]HTTPSHost `yaml:"hosts,omitempty"`             // by host, or host:port; lower case
	RestrictToHosts Switch               `yaml:"restrict_to_hosts,omitempty"` // refuse every other host
}

// HTTPSHost is what is particular to one server.
type HTTPSHost struct {
	CAFile    string `yaml:"ca_file,omitempty"`    // instead of HTTPS.CAFile
	TokenFile string `yaml:"token_file,omitempty"` // holds the bearer token that this host, and no other, is sent
}

// OCI are the settings of oci:// references.
type OCI struct {
	AuthFile   string              `yaml:"auth_file,omitempty"`  // a config.json as docker login writes it
	Registries map[string]Registry `yaml:"registries,omitempty"` // by host, or host:port; lower case

	RestrictToRegistries Switch `yaml:"restrict_to_registries,omitempty"` // refuse every other registry
}

// Registry is what is particular to one OCI registry.
type Registry struct {
	CAFile       string `yaml:"ca_file,omitempty"`
	Username     string `yaml:"username,omitempty"`
	PasswordFile string `yaml:"password_file,omitempty"`
	PlainHTTP    Switch `yaml:"plain_http,omitempty"` // without TLS; for a registry on this host only
}

// AWS says as whom to talk to Amazon Web Services, and where it is, whatever
// of ours talks to it.
type AWS struct {
	Credentials AWSCredentials    `yaml:"credentials"`
	Region      string            `yaml:"region,omitempty"`       // for references that name none; empty: the instance's own
	Profile     string            `yaml:"profile,omitempty"`      // of credentials: profile
	ProfileFile string            `yaml:"profile_file,omitempty"` // of credentials: profile
	RoleARN     string            `yaml:"role_arn,omitempty"`     // of credentials: web_identity
	TokenFile   string            `yaml:"token_file,omitempty"`   // of credentials: web_identity
	CAFile      string            `yaml:"ca_file,omitempty"`
	Endpoints   map[string]string `yaml:"endpoints,omitempty"`  // URLs by service, for those that are not AWS's own
	PathStyle   Switch            `yaml:"path_style,omitempty"` // buckets in the path and not in the host name
}

// AWSCredentials says where credentials for AWS come from.
type AWSCredentials string

// The values of AWSCredentials.
const (
	AWSInstance    AWSCredentials = "instance"     // the instance's role, by IMDSv2
	AWSContainer   AWSCredentials = "container"    // ECS, EKS Pod Identity
	AWSWebIdentity AWSCredentials = "web_identity" // a role for a service account's token
	AWSProfile     AWSCredentials = "profile"      // a credentials file
)

// Kubernetes says which API server to talk to, and as whom.
type Kubernetes struct {
	Kubeconfig string `yaml:"kubeconfig,omitempty"` // file; empty: the service account of the agent's pod
	Context    string `yaml:"context,omitempty"`    // of the kubeconfig; empty: its current one
}

// Switch is true or false.
type Switch bool

// Secrets are the settings of the secret stores, and which secret serves whom.
type Secrets struct {
	Local            Local            `yaml:"local"`
	Cache            Cache            `yaml:"cache"`
	AzureKeyVault    AzureKeyVault    `yaml:"azurekeyvault"`
	Kubernetes       KubernetesStore  `yaml:"kubernetes"`
	Vault            Vault            `yaml:"vault"`
	GCPSecretManager GCPSecretManager `yaml:"gcpsecretmanager"`
	Serve            []Serve          `yaml:"serve"`
}

// Local is the encrypted store beside the agent.
type Local struct {
	Dir string `yaml:"dir"`
}

// Cache bounds how long a fetched secret is used without asking its store.
type Cache struct {
	TTL    time.Duration       `yaml:"ttl"`    // 0: every redemption asks the store
	Stale  time.Duration       `yaml:"stale"`  // used beyond that while the store is down; 0: never
	Stores map[string]Lifetime `yaml:"stores"` // by scheme: instead of the above
}

// Lifetime bounds how long a secret of one store is used.
type Lifetime struct {
	TTL   *time.Duration `yaml:"ttl,omitempty"`   // nil: Cache.TTL
	Stale *time.Duration `yaml:"stale,omitempty"` // nil: Cache.Stale
}

// AzureKeyVault says which vaults a reference may name, and as whom they are
// asked where it does not say.
type AzureKeyVault struct {
	Vaults          []string      `yaml:"vaults"`                     // hosts: contoso.vault.azure.net
	Identity        AzureIdentity `yaml:"identity"`                   // for references that name none
	ID              string        `yaml:"id,omitempty"`               // of client_id, object_id, certificate, workload: the identity's
	TenantID        string        `yaml:"tenant_id,omitempty"`        // of certificate and workload
	CertificateFile string        `yaml:"certificate_file,omitempty"` // of certificate: PEM with its key, or PFX without password
	TokenFile       string        `yaml:"token_file,omitempty"`       // of workload; empty: AZURE_FEDERATED_TOKEN_FILE
}

// AzureIdentity is a way to authenticate to Microsoft Entra ID.
type AzureIdentity string

// The values of AzureIdentity.
const (
	AzureSystem      AzureIdentity = "system"      // the host's system-assigned managed identity
	AzureClientID    AzureIdentity = "client_id"   // a user-assigned managed identity, by its client id
	AzureObjectID    AzureIdentity = "object_id"   // a user-assigned managed identity, by its object id
	AzureWorkload    AzureIdentity = "workload"    // a federated token (AKS workload identity)
	AzureCertificate AzureIdentity = "certificate" // an application's certificate
)

// KubernetesStore says which Secrets a reference may name.
type KubernetesStore struct {
	Namespaces []string `yaml:"namespaces"`
}

// Vault says where HashiCorp Vault or OpenBao is, and as whom it is asked.
type Vault struct {
	Address   string    `yaml:"address"` // https://vault.contoso.com:8200
	Namespace string    `yaml:"namespace,omitempty"`
	CAFile    string    `yaml:"ca_file,omitempty"`
	Paths     []string  `yaml:"paths,omitempty"` // patterns of what a reference may name; nil: whatever Vault allows
	Auth      VaultAuth `yaml:"auth"`
}

// VaultAuth says how the agent logs in.
type VaultAuth struct {
	Method       VaultMethod `yaml:"method"`
	Mount        string      `yaml:"mount,omitempty"`          // of the auth method; empty: its default
	Role         string      `yaml:"role,omitempty"`           // of jwt, kubernetes and cert
	TokenFile    string      `yaml:"token_file,omitempty"`     // of token, jwt and kubernetes
	RoleIDFile   string      `yaml:"role_id_file,omitempty"`   // of approle
	SecretIDFile string      `yaml:"secret_id_file,omitempty"` // of approle
	CertFile     string      `yaml:"cert_file,omitempty"`      // of cert: PEM
	KeyFile      string      `yaml:"key_file,omitempty"`       // of cert: PEM
}

// VaultMethod is an auth method of Vault.
type VaultMethod string

// The values of VaultMethod.
const (
	VaultToken      VaultMethod = "token"
	VaultAppRole    VaultMethod = "approle"
	VaultJWT        VaultMethod = "jwt"
	VaultKubernetes VaultMethod = "kubernetes"
	VaultCert       VaultMethod = "cert"
)

// GCPSecretManager says which projects a reference may name, and as whom they
// are asked.
type GCPSecretManager struct {
	Projects        []string       `yaml:"projects"`
	Credentials     GCPCredentials `yaml:"credentials"`
	CredentialsFile string         `yaml:"credentials_file,omitempty"` // of workload_identity and key_file
	Endpoint        string         `yaml:"endpoint,omitempty"`         // host:port; empty: Google's own
	CAFile          string         `yaml:"ca_file,omitempty"`
}

// GCPCredentials says where credentials for Google Cloud come from.
type GCPCredentials string

// The values of GCPCredentials.
const (
	GCPMetadata         GCPCredentials = "metadata"          // the instance's service account
	GCPWorkloadIdentity GCPCredentials = "workload_identity" // a federated token: a credential configuration file
	GCPKeyFile          GCPCredentials = "key_file"          // a service account's key
)

// Serve names the secret of a domain, or of one account of it, for documents
// and containers that name none themselves.
type Serve struct {
	Domain  string `yaml:"domain"`            // DNS or NetBIOS name
	Account string `yaml:"account,omitempty"` // a gMSA's name without "$"; empty: every account of the domain
	Secret  string `yaml:"secret"`            // a secret reference
}

// Policy narrows what is allowed. A secret serves only credential specs of its
// own domain whatever stands here.
type Policy struct {
	// Allow lists who may have a gMSA: a container that no rule allows is
	// refused. Nil allows every container.
	Allow []Rule `yaml:"allow,omitempty"`
	// HostAccount says whether a credential spec without a plugin may be used by
	// the account of this host, where it is a member of a domain.
	HostAccount HostAccount `yaml:"host_account"`
}

// HostAccount says who may fetch gMSAs' passwords: plugin users, this host's own
// account in the domain, or both.
type HostAccount string

// The values of HostAccount. The zero value is HostAccountAllow.
const (
	HostAccountAllow   HostAccount = "allow"   // where no secret serves the domain
	HostAccountForbid  HostAccount = "forbid"  // plugin users alone
	HostAccountRequire HostAccount = "require" // the host's own alone: no secret is released
)

// Rule allows the containers that fit all of its fields; a field that is not
// given fits every container.
type Rule struct {
	Domains    []string           `yaml:"domains,omitempty"`    // DNS names; the credential spec's, and of all its accounts' scopes
	Accounts   []Pattern          `yaml:"accounts,omitempty"`   // the gMSA's name without "$"
	Namespaces []Pattern          `yaml:"namespaces,omitempty"` // the runtime's namespace
	Images     []Pattern          `yaml:"images,omitempty"`     // the image as the runtime names it
	Labels     map[string]Pattern `yaml:"labels,omitempty"`     // every one must be there and fit
	Secrets    []Pattern          `yaml:"secrets,omitempty"`    // the reference of the secret that would be used
}

// Directory says how to reach Active Directory where DNS alone does not.
type Directory struct {
	Domains map[string]Domain `yaml:"domains"` // by DNS name, lower case
}

// Domain is how to reach one Active Directory domain.
type Domain struct {
	DNS         []string `yaml:"dns"`         // name servers, address or address:port; empty: the system's
	Controllers []string `yaml:"controllers"` // host name, or name=address; empty: found by DNS
	CAFile      string   `yaml:"ca_file"`     // PEM certificates that sign the controllers'; empty: the system's
}

// Joined says whether this host is a member of a domain.
type Joined string

// The values of Joined.
const (
	JoinedAuto Joined = "auto" // the agent asks the operating system
	JoinedYes  Joined = "true"
	JoinedNo   Joined = "false"
)

// Log says what the agent logs, and how.
type Log struct {
	Level  Level  `yaml:"level"`
	Format Format `yaml:"format"`
}

// Format is the form of log lines.
type Format string

// The values of Format.
const (
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// Level is the least severity that is logged.
type Level string

// The values of Level.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// EventLog says which of the agent's events go to Windows' Event Log.
type EventLog struct {
	Level EventLevel `yaml:"level"`
}

// EventLevel is the least severity of the events that are written.
type EventLevel string

// The values of EventLevel.
const (
	EventInfo  EventLevel = "info"
	EventWarn  EventLevel = "warn"
	EventError EventLevel = "error"
	EventOff   EventLevel = "off" // none is written
)
