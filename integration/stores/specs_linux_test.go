package stores

// contosoSpec is a credential spec of an account of contoso.com, for the suites
// in which nobody becomes it.
const contosoSpec = `{
  "CmsPlugins": ["ActiveDirectory"],
  "DomainJoinConfig": {
    "Sid": "S-1-5-21-2126449477-2524075714-3094792973", "MachineAccountName": "webapp01",
    "Guid": "244818ae-87ac-4fcd-92ec-e79e5252348a",
    "DnsTreeName": "contoso.com", "DnsName": "contoso.com", "NetBiosName": "CONTOSO"
  },
  "ActiveDirectoryConfig": {"GroupManagedServiceAccounts": [
    {"Name": "webapp01", "Scope": "contoso.com"}, {"Name": "webapp01", "Scope": "CONTOSO"}
  ]}
}`

// user is the plugin user's name.
const user = "svc-gmsa"
