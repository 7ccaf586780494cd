# What the agent needs of a key-value engine of version 2 that is mounted at kv/:
# to read the secrets below gmsa/, and nothing else. To find out what is mounted
# there it needs no line of its own.
path "kv/data/gmsa/*" {
  capabilities = ["read"]
}
