// Parses PowerShell scripts, which nothing here can run, and fails where one does not parse or uses what is not
// expected of it: another command, a type, a method, or what Windows PowerShell 5.1 does not have.
//
//	node check.mjs FILE...
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { Language, Parser } from 'web-tree-sitter'

// What a start script may do; all of it is in Windows PowerShell 5.1.
const allowedCommands = new Set([
  'Join-Path', 'Pop-Location', 'Push-Location', 'Select-Object', 'Set-StrictMode', 'Split-Path', 'Test-Path',
  'Write-Host', 'Write-Output',
  'go', '$binary',
])

// Grammar of PowerShell 7.
const newer = /^(pipeline_chain_tail|ternary_expression|null_coalesce_expression|.*null_conditional.*)$/

// problems of one script, each with its line.
export function problems(parser, text) {
  const found = []
  const at = (node, what) => found.push(`line ${node.startPosition.row + 1}: ${what}`)
  const visit = (node) => {
    if (node.isError || node.isMissing) at(node, `does not parse: ${JSON.stringify(node.text.slice(0, 60))}`)
    if (node.type === 'command') {
      const name = node.childForFieldName('command_name')?.text ?? node.text
      if (!allowedCommands.has(name)) at(node, `command ${name} is not on the list`)
    }
    if (node.type === 'invocation_expression' || node.type === 'type_literal') {
      at(node, `${node.text}: types and methods are not on the list`)
    }
    if (newer.test(node.type) || (node.type === 'assignment_operator' && node.text === '??=')) {
      at(node, `${node.type} is not in Windows PowerShell 5.1`)
    }
    for (const child of node.children) visit(child)
  }
  visit(parser.parse(text).rootNode)
  return found
}

export async function newParser() {
  await Parser.init()
  const grammar = createRequire(import.meta.url).resolve('tree-sitter-pwsh/tree-sitter-powershell.wasm')
  const parser = new Parser()
  parser.setLanguage(await Language.load(await readFile(grammar)))
  return parser
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const parser = await newParser()
  let failed = false
  for (const file of process.argv.slice(2)) {
    for (const problem of problems(parser, await readFile(file, 'utf8'))) {
      console.error(`${file}: ${problem}`)
      failed = true
    }
  }
  if (failed) process.exit(1)
  console.log(`PowerShell: ${process.argv.length - 2} parsed`)
}
