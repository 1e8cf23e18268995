# Starts the service in production. Everything but the build is done by `memwarden start`, whose exit code is the script's.
# Windows PowerShell 5.1 will do.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$usage = @'
usage: start-production-memory-optimized.ps1 production [--env-file FILE] [--dry-run] [--help]

Builds bin\memwarden.exe if it is not there, reads the environment file and checks it,
works out GOMEMLIMIT and the sizes of pools from the container and the machine,
brings the database's schema up to date, starts the service, waits until it is
ready, and ends with its exit code. What the service says is on the standard output
and in logs\application.log, which is bounded in size. Ctrl+C ends it in order.

  --env-file FILE  settings, in place of .env.production at the root of the repository;
                   nothing in it is evaluated
  --dry-run        print what would be done and every value as NAME=value, secrets
                   masked; builds if needed, connects to nothing, changes nothing else
  --help           this text

Further flags are those of memwarden start: bin\memwarden.exe start --help.
Exit codes: the service's (0 a clean shutdown, 1 it could not start or failed on the
way down, 3 the shutdown was forced), 2 wrong command line or configuration, 1 the
address is in use or the migration failed.
'@

if (($args -contains '--help') -or ($args -contains '-h')) {
    Write-Output $usage
    exit 0
}
if (($args.Count -eq 0) -or ($args[0] -ne 'production')) {
    Write-Output $usage
    exit 2
}
$flags = @($args | Select-Object -Skip 1)

$root = Split-Path -Parent $PSScriptRoot
$binary = Join-Path (Join-Path $root 'bin') 'memwarden.exe'
if (-not (Test-Path -LiteralPath $binary -PathType Leaf)) {
    Write-Host "building $binary"
    $cgo = $env:CGO_ENABLED
    $env:CGO_ENABLED = '0'
    Push-Location -LiteralPath $root
    try {
        & go build -trimpath -ldflags '-s -w' -o $binary ./server/cmd/memwarden
        if ($LASTEXITCODE -ne 0) {
            exit $LASTEXITCODE
        }
    } finally {
        Pop-Location
        $env:CGO_ENABLED = $cgo
    }
}
& $binary start --dir $root @flags
exit $LASTEXITCODE
