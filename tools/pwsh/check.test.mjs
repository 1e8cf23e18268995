// The check finds what it is for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newParser, problems } from './check.mjs'

const parser = await newParser()

for (const [script, want] of [
  ['Remove-Item x', /line 1: command Remove-Item/],
  ['$a = 1\n"$(Remove-Item x)"', /line 2: command Remove-Item/],
  ["Write-Host a | Invoke-Expression", /command Invoke-Expression/],
  ["& 'calc.exe'", /command 'calc.exe'/],
  ['& (Get-Command x)', /command \(Get-Command x\)/],
  ['. ./other.ps1', /command .\/other.ps1/],
  ["[IO.File]::Delete('x')", /types and methods/],
  ['$x.Kill()', /types and methods/],
  ['if ($a {', /does not parse/],
  ["@'\nunclosed", /does not parse/],
  ['Write-Host a && Write-Host b', /pipeline_chain_tail is not in/],
  ['$x = $true ? 1 : 2', /ternary_expression is not in/],
  ['$x ??= 1', /assignment_operator is not in/],
  ['$x = $y ?? 1', /is not in|does not parse/],
]) {
  test(script, () => assert.match(problems(parser, script).join('\n'), want))
}

test('a script without problems', () => {
  assert.deepEqual(problems(parser, "if (-not (Test-Path -LiteralPath $a)) {\n  & $binary start @flags\n}\nexit $LASTEXITCODE\n"), [])
})
