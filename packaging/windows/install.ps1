<#
.SYNOPSIS
Installs gmsa-agent on this host from the files beside this script, or takes it
away. Nothing is downloaded.

.DESCRIPTION
Checks that it may (administrator, 64 bits, Windows Server 2019 or later), copies
the package into a new folder that only administrators can change, checks there
that every file is what SHA256SUMS says and that the programs' signatures are
valid if they have any, and calls "gmsa-agent service install" from there. That
command makes, upgrades or mends the service and the CCG plugin's registration,
and brings everything back if one step fails.

.PARAMETER Uninstall
Calls "gmsa-agent service uninstall" instead.

.PARAMETER DryRun
Shows what would be done, after all checks.

.PARAMETER RequireSignature
Stops when a program has no signature.

.PARAMETER Thumbprint
The certificate that must have signed. Implies -RequireSignature.

.PARAMETER ServiceArguments
Further arguments of "gmsa-agent service install" or "uninstall", as docs\cli.md
lists them, for example -ServiceArguments '--purge'.

.EXAMPLE
powershell -NoProfile -ExecutionPolicy Bypass -File .\install.ps1
#>
[CmdletBinding()]
param(
    [switch] $Uninstall,
    [switch] $DryRun,
    [switch] $RequireSignature,
    [ValidatePattern('^[0-9A-Fa-f]{40}$')] [string] $Thumbprint,
    [string[]] $ServiceArguments = @()
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$oldestBuild = 17763 # Windows Server 2019
$programs = 'gmsa-agent.exe', 'ccg-plugin.dll', 'shim/containerd-shim-runhcs-v1.exe'

function Assert-Host {
    $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
    $administrator = [Security.Principal.WindowsBuiltInRole]::Administrator
    if (-not ([Security.Principal.WindowsPrincipal] $identity).IsInRole($administrator)) {
        throw 'This needs an administrator: start PowerShell with "Run as administrator".'
    }
    if (-not [Environment]::Is64BitProcess) {
        throw 'This needs 64-bit Windows and the 64-bit PowerShell.'
    }
    $build = [Environment]::OSVersion.Version.Build
    if ($build -lt $oldestBuild) {
        throw "This is Windows build $build; Windows Server 2019 (build $oldestBuild) or later is needed."
    }
}

# The package's files and their checksums. A name that could lead out of a
# folder is refused.
function Read-Sums([string] $Folder) {
    $list = Join-Path $Folder 'SHA256SUMS'
    if (-not (Test-Path -LiteralPath $list -PathType Leaf)) {
        throw "$list is missing: unpack the whole package."
    }
    $sums = @{}
    foreach ($line in [IO.File]::ReadAllLines($list)) {
        if (-not ($line -match '^([0-9a-f]{64})  ([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)$')) { throw "$list is damaged: $line" }
        $sum, $name = $Matches[1], $Matches[2]
        if ($name -match '(^|/)\.\.?(/|$)') { throw "$list is damaged: $line" }
        $sums[$name] = $sum
    }
    foreach ($name in $programs) {
        if (-not $sums.ContainsKey($name)) { throw "$list does not list $name." }
    }
    return $sums
}

# Checks the copies, which nobody else can exchange between the check and the use.
function Assert-Sums([string] $Folder, [hashtable] $Sums) {
    $bad = @()
    foreach ($name in $Sums.Keys | Sort-Object) {
        $file = Join-Path $Folder $name
        if ((Get-FileHash -LiteralPath $file -Algorithm SHA256).Hash -ne $Sums[$name]) { $bad += $name }
    }
    if ($bad.Count -gt 0) {
        throw "Damaged or changed since they were packaged: $($bad -join ', '). Nothing was installed."
    }
}

function Assert-Signatures([string] $Folder) {
    $signatures = @($programs | ForEach-Object { Get-AuthenticodeSignature -LiteralPath (Join-Path $Folder $_) })
    $signed = @($signatures | Where-Object { $_.Status -ne 'NotSigned' })
    if ($signed.Count -eq 0) {
        if ($RequireSignature -or $Thumbprint) { throw 'The programs have no signature. Nothing was installed.' }
        Write-Host 'The programs have no signature; their checksums are right.'
        return
    }
    foreach ($signature in $signatures) {
        if ($signature.Status -ne 'Valid') {
            throw "The signature of $($signature.Path) is not valid: $($signature.StatusMessage) Nothing was installed."
        }
    }
    $signers = @($signatures | ForEach-Object { $_.SignerCertificate.Thumbprint } | Sort-Object -Unique)
    if ($signers.Count -ne 1) { throw 'The programs are signed by different certificates. Nothing was installed.' }
    if ($Thumbprint -and $signers[0] -ne $Thumbprint) {
        throw "The programs are signed by $($signers[0]), not by $Thumbprint. Nothing was installed."
    }
    Write-Host "Signed by $($signatures[0].SignerCertificate.Subject)"
}

Assert-Host
$sums = Read-Sums $PSScriptRoot

# Below Program Files a new folder inherits that only administrators write to it.
$staging = Join-Path $env:ProgramFiles ('gmsa-agent-setup-' + [Guid]::NewGuid())
[void] (New-Item -ItemType Directory -Path $staging)
try {
    Copy-Item -LiteralPath (Join-Path $PSScriptRoot 'SHA256SUMS') -Destination $staging
    foreach ($name in $sums.Keys) {
        $source = Join-Path $PSScriptRoot $name
        if (-not (Test-Path -LiteralPath $source -PathType Leaf)) { throw "$source is missing: unpack the whole package." }
        $target = Join-Path $staging $name
        [void] (New-Item -ItemType Directory -Force -Path (Split-Path $target))
        Copy-Item -LiteralPath $source -Destination $target
    }
    Assert-Sums $staging (Read-Sums $staging)
    Assert-Signatures $staging
    Get-ChildItem -LiteralPath $staging -Recurse -File | Unblock-File

    $verb = if ($Uninstall) { 'uninstall' } else { 'install' }
    $arguments = @('service', $verb)
    if ($DryRun) { $arguments += '--dry-run' }
    $arguments += $ServiceArguments
    # What a program writes to its standard error is no PowerShell error: its exit
    # code says whether it failed.
    $ErrorActionPreference = 'Continue'
    & (Join-Path $staging 'gmsa-agent.exe') @arguments
    $code = $LASTEXITCODE
    $ErrorActionPreference = 'Stop'
    if ($code -ne 0) { throw "gmsa-agent $($arguments -join ' ') failed with exit code $code; what it said stands above." }
}
finally {
    Remove-Item -LiteralPath $staging -Recurse -Force -ErrorAction SilentlyContinue
}
