<#
.SYNOPSIS
Takes a Windows host from nothing to containers that ask for a gMSA, and back.

.DESCRIPTION
For a host of its own, such as a runner of a CI service, with the feature
Containers, as an administrator. It installs the package, runs process-isolated
containers through containerd, the real runhcs shim and the wrapper, and removes
everything. There is no Active Directory: what is seen of the chain ends with the
plugin user's credentials that CCG fetches. What CCG, HCS and the container make
of a domain that cannot be reached is written down and not judged.

.PARAMETER Package
The folder of the unpacked package for Windows.

.PARAMETER Containerd
A folder with containerd.exe, ctr.exe and containerd-shim-runhcs-v1.exe.

.PARAMETER Image
An image of this host's version of Windows, for example
mcr.microsoft.com/windows/nanoserver:ltsc2022.

.NOTES
Nobody has run this yet.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [string] $Package,
    [Parameter(Mandatory)] [string] $Containerd,
    [Parameter(Mandatory)] [string] $Image
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$installed = Join-Path $env:ProgramFiles 'gmsa-agent'
$agent = Join-Path $installed 'gmsa-agent.exe'
$wrapper = Join-Path $installed 'shim\containerd-shim-runhcs-v1.exe'
$clsidKey = 'HKLM:\SYSTEM\CurrentControlSet\Control\CCG\COMClasses\{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}'
$work = Join-Path $env:ProgramData 'gmsa-agent-suite'

# Runs a program and gives what it printed, both streams. Its exit code must be
# one of those that are wanted; none wanted: any.
function Invoke-Program([string] $Program, [string[]] $Arguments, [int[]] $Want = @(0)) {
    Write-Host "> $(Split-Path $Program -Leaf) $($Arguments -join ' ')"
    $ErrorActionPreference = 'Continue'
    $text = @(& $Program @Arguments 2>&1 | ForEach-Object { "$_" }) -join "`n"
    $code = $LASTEXITCODE
    $ErrorActionPreference = 'Stop'
    Write-Host $text
    if ($Want.Count -gt 0 -and $Want -notcontains $code) { throw "exit code $code, wanted $($Want -join ' or ')" }
    return $text
}

function Assert-That([bool] $Holds, [string] $What) {
    if (-not $Holds) { throw "NOT SO: $What" }
    Write-Host "so it is: $What"
}

# The records of a container's event in the audit trail.
function Get-Records([string] $Container, [string] $Kind) {
    $ErrorActionPreference = 'Continue'
    $lines = & $agent audit --container $Container --event $Kind --output json
    $ErrorActionPreference = 'Stop'
    return @($lines | Where-Object { $_ } | ForEach-Object { $_ | ConvertFrom-Json })
}

function Wait-Record([string] $Container, [string] $Kind) {
    $until = (Get-Date).AddMinutes(2)
    do {
        $records = @(Get-Records $Container $Kind)
        if ($records.Count -gt 0) { return $records }
        Start-Sleep -Milliseconds 500
    } while ((Get-Date) -lt $until)
    throw "no $Kind of $Container within two minutes"
}

$daemon = $null
[void] (New-Item -ItemType Directory -Force -Path $work)
$keyBefore = Test-Path -LiteralPath $clsidKey
$folderBefore = Test-Path -LiteralPath $installed
try {
    # From nothing to a service.
    & (Join-Path $Package 'install.ps1') -DryRun
    Assert-That (-not (Test-Path -LiteralPath $agent)) 'a dry run installs nothing'
    & (Join-Path $Package 'install.ps1')
    & (Join-Path $Package 'install.ps1') # nothing to do
    [void] (Invoke-Program $agent @('service', 'status'))
    Assert-That ((Get-Service gmsa-agent).Status -eq 'Running') 'the service runs'

    # The plugin's registration, as Windows has it, and the way through COM.
    [void] (Invoke-Program $agent @('plugin', 'status'))
    Assert-That (Test-Path -LiteralPath $clsidKey) 'CCG is told of the plugin'
    [void] (Invoke-Program $agent @('plugin', 'call'))
    [void] (Invoke-Program $agent @('ccg', 'list'))

    # A plugin user that exists nowhere, and a credential spec.
    $password = Join-Path $work 'password.txt'
    [IO.File]::WriteAllText($password, [Guid]::NewGuid().ToString())
    [void] (Invoke-Program $agent @('secret', 'put', '--domain', 'contoso.com', '--user', 'gmsa-plugin', '--password-file', $password, 'contoso'))
    Remove-Item -LiteralPath $password
    $specs = Join-Path $env:ProgramData 'gmsa-agent\CredentialSpecs'
    [void] (New-Item -ItemType Directory -Force -Path $specs)
    $spec = Join-Path $specs 'suite.json'
    @{
        CmsPlugins            = @('ActiveDirectory')
        DomainJoinConfig      = @{
            Sid              = 'S-1-5-21-2126449477-2524075714-3094792973'
            MachineAccountName = 'webapp01'
            Guid             = '244818ae-87ac-4fcd-92ec-e79e5252348a'
            DnsTreeName      = 'contoso.com'
            DnsName          = 'contoso.com'
            NetBiosName      = 'CONTOSO'
        }
        ActiveDirectoryConfig = @{
            GroupManagedServiceAccounts = @(
                @{ Name = 'webapp01'; Scope = 'contoso.com' }
                @{ Name = 'webapp01'; Scope = 'CONTOSO' }
            )
        }
    } | ConvertTo-Json -Depth 5 | Set-Content -LiteralPath $spec -Encoding Ascii
    [void] (Invoke-Program $agent @('credspec', 'validate', $spec))

    # containerd, with the real shim beside it.
    $config = Join-Path $work 'config.toml'
    $root, $state = (Join-Path $work 'root'), (Join-Path $work 'state')
    @(
        'version = 3'
        "root = '$root'"
        "state = '$state'"
        "disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.runtime', 'io.containerd.cri.v1.images']"
    ) | Set-Content -LiteralPath $config -Encoding Ascii
    $ctr = Join-Path $Containerd 'ctr.exe'
    $daemon = Start-Process -PassThru -NoNewWindow -FilePath (Join-Path $Containerd 'containerd.exe') -ArgumentList '--config', "`"$config`"" `
        -RedirectStandardOutput (Join-Path $work 'containerd.out') -RedirectStandardError (Join-Path $work 'containerd.err')
    $until = (Get-Date).AddMinutes(1)
    do {
        Start-Sleep -Milliseconds 500
        $ErrorActionPreference = 'Continue'
        & $ctr version *> $null
        $up = $LASTEXITCODE -eq 0
        $ErrorActionPreference = 'Stop'
    } until ($up -or (Get-Date) -gt $until)
    Assert-That $up 'containerd answers'
    [void] (Invoke-Program $ctr @('images', 'pull', $Image))

    # A container that asks for nothing, without the wrapper and with it.
    [void] (Invoke-Program $ctr @('run', '--rm', '--runtime', 'io.containerd.runhcs.v1', $Image, 'suite-plain', 'cmd', '/c', 'ver'))
    $text = Invoke-Program $ctr @('run', '--rm', '--runtime', $wrapper, $Image, 'suite-wrapped', 'cmd', '/c', 'ver')
    Assert-That ($text -match 'Microsoft Windows') 'a container that asks for nothing runs through the wrapper'
    Assert-That (@(Get-Records 'suite-wrapped' 'admit.granted').Count -eq 0) 'it has no grant'

    # One that asks for what is not there.
    $text = Invoke-Program $ctr @('run', '--rm', '--runtime', $wrapper, '--annotation', 'gmsa-agent/credential-spec=file://missing.json', `
            $Image, 'suite-missing', 'cmd', '/c', 'ver') @(1)
    Assert-That ($text -match 'missing\.json') 'its refusal is what ctr prints'
    [void] (Wait-Record 'suite-missing' 'admit.refused')

    # And one that asks for what is. Whether it starts is CCG's to say: the domain
    # cannot be reached. That CCG was given the plugin user is ours.
    [void] (Invoke-Program $ctr @('run', '--detach', '--runtime', $wrapper, '--annotation', 'gmsa-agent/credential-spec=file://suite.json', `
            $Image, 'suite-asks', 'cmd', '/c', 'ping -n 120 127.0.0.1') @())
    $granted = Wait-Record 'suite-asks' 'admit.granted'
    Assert-That ($granted[0].domain -eq 'contoso.com') 'it was admitted to contoso.com'
    $released = Wait-Record 'suite-asks' 'redeem.released'
    Assert-That ($released[0].peer.image -match 'dllhost\.exe$') 'the plugin user went to dllhost.exe'
    [void] (Invoke-Program $agent @('containers', 'inspect', 'suite-asks') @())
    [void] (Invoke-Program $agent @('ccg', 'list'))
    [void] (Invoke-Program $ctr @('tasks', 'kill', '--signal', 'SIGKILL', 'suite-asks') @())
    $until = (Get-Date).AddMinutes(1)
    do {
        Start-Sleep -Milliseconds 500
        [void] (Invoke-Program $ctr @('tasks', 'delete', '--force', 'suite-asks') @())
        [void] (Invoke-Program $ctr @('containers', 'delete', 'suite-asks') @())
        $left = & $ctr containers list --quiet
    } until (@($left) -notcontains 'suite-asks' -or (Get-Date) -gt $until)
    [void] (Wait-Record 'suite-asks' 'grant.revoked')

    Write-Host 'What Windows says of it:'
    $columns = 'TimeCreated', 'Id', 'Message'
    Get-WinEvent -ErrorAction SilentlyContinue -MaxEvents 30 -FilterHashtable @{
        LogName = 'Microsoft-Windows-Containers-CCG/Admin'
    } | Format-List -Property $columns | Out-String | Write-Host
    Get-WinEvent -ErrorAction SilentlyContinue -MaxEvents 30 -FilterHashtable @{
        LogName = 'Application'; ProviderName = 'gmsa-agent'
    } | Format-List -Property $columns | Out-String | Write-Host
}
finally {
    if ($daemon -and -not $daemon.HasExited) { $daemon.Kill(); $daemon.WaitForExit() }
    if ($daemon) { Get-Content -Tail 50 -LiteralPath (Join-Path $work 'containerd.err') | Write-Host }
}

# And back.
& (Join-Path $Package 'uninstall.ps1') -ServiceArguments '--purge'
Assert-That (-not (Get-Service gmsa-agent -ErrorAction SilentlyContinue)) 'the service is gone'
Assert-That ((Test-Path -LiteralPath $clsidKey) -eq $keyBefore) 'CCG''s key is as it was'
if (-not $folderBefore) {
    # A DLL that CCG still has loaded is removed at the next start.
    $left = @(Get-ChildItem -LiteralPath $installed -Recurse -File -ErrorAction SilentlyContinue | Where-Object { $_.Extension -ne '.dll' })
    Assert-That ($left.Count -eq 0) 'nothing of the programs is left but a DLL in use'
}
Write-Host 'The suite has passed.'
