<#
.SYNOPSIS
Takes gmsa-agent away from this host: the service, the CCG plugin's registration
and the programs. The configuration and the stored secrets stay, unless
-ServiceArguments '--purge' is given.

.DESCRIPTION
Makes the same checks as install.ps1 and calls "gmsa-agent service uninstall" of
the package that this script is in.

.EXAMPLE
powershell -NoProfile -ExecutionPolicy Bypass -File .\uninstall.ps1
#>
[CmdletBinding()]
param(
    [switch] $DryRun,
    [switch] $RequireSignature,
    [string] $Thumbprint,
    [string[]] $ServiceArguments = @()
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

& (Join-Path $PSScriptRoot 'install.ps1') -Uninstall @PSBoundParameters
