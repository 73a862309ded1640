-- Writes doc/api.md from the annotations in the source (`make doc`).

package.path = "./?.lua;" .. package.path
local api = require "spec.support.api"

local function cell(text) return (text:gsub("\n", " "):gsub("|", "\\|")) end

local function signature(prefix, block)
  local names = table.concat(block.names, ", "):gsub("%.%.%.$", "…")
  return ("%s%s(%s)"):format(prefix, block.name, names)
end

local function entry_line(mark, entry)
  local text = entry.text and entry.text ~= "" and ": " .. entry.text or ""
  local name = entry.name and entry.name ~= "" and " `" .. entry.name .. "`" or ""
  return ("%s%s (%s)%s"):format(mark, name, entry.type:gsub("|", " or "), text)
end

local function print_function(prefix, block)
  print(("\n### `%s`\n"):format(signature(prefix, block)))
  print(block.text)
  if #block.params + #block.returns > 0 then print "" end
  for _, entry in ipairs(block.params) do print(entry_line("*", entry)) end
  for _, entry in ipairs(block.returns) do print(entry_line("* →", entry)) end
end

local function print_class(name, block)
  print(("\n### `%s`\n"):format(name))
  if block.text ~= "" then print(block.text .. "\n") end
  if block.parent ~= "" then
    print(("Also what `%s` has.\n"):format(block.parent))
  end
  print "| name | type | |\n|---|---|---|"
  for _, entry in ipairs(block.fields) do
    print(("| `%s` | %s | %s |"):format(entry.name:gsub("%?$", ""), cell(entry.type),
      cell(entry.text)))
  end
end

print [[
# The functions of taskclient

Written by `make doc` from the annotations in the source. What a `→` stands before is returned; what
can fail returns nil and an err (README, "Errors"), and a wrong argument raises. Clients, cursors,
runs and sandboxes may stand in a `<close>`.

Besides functions `taskclient` has `null` (SQL NULL, JSON null), `version` and `host` (the host in
use here and now); a job has `id`, `client` and, for Linkis, `key`; a client has `service`.]]

for _, section in ipairs(api.sections()) do
  print("\n## " .. section.title)
  for _, block in ipairs(section.functions) do
    if not block.private then print_function(section.prefix, block) end
  end
end

print "\n## Tables that are handed over and given"
local classes, names = api.classes(), {}
for name in pairs(classes) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do print_class(name, classes[name]) end
