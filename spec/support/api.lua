-- The public surface as it stands in memory, each function with the annotations that stand
-- before it in the source. doc/api.md is written from it (.ci/api.lua) and checked against it
-- (spec/docs/api_spec.lua). Needs no server.

local M = {}

-- Finding the tables ------------------------------------------------------------------

-- An upvalue by its name, of a function or of those it uses.
local function hidden(fn, name, depth)
  for i = 1, 60 do
    local found, value = debug.getupvalue(fn, i)
    if not found then break end
    if found == name then return value end
    if type(value) == "function" and (depth or 3) > 1 then
      local deeper = hidden(value, name, (depth or 3) - 1)
      if deeper ~= nil then return deeper end
    end
  end
end

local function index_of(object)
  local meta = getmetatable(object)
  return type(meta.__index) == "table" and meta.__index or meta
end

-- title, how its functions are called, the table, what it is
local function tables()
  local taskclient = require "taskclient"
  local linkis = assert(taskclient.linkis { url = "http://127.0.0.1:1" })
  local job = linkis:attach(1)
  local results, meta = require "taskclient.linkis.results", require "taskclient.types"
  local set = hidden(results.list, "ResultSet")
  local module = { linkis = taskclient.linkis, array = taskclient.array, sleep = taskclient.sleep,
    lindorm = getmetatable(taskclient.lindorm).__call }
  for name in pairs(hidden(getmetatable(taskclient).__index, "PARTS")) do
    module[name] = taskclient[name]
  end
  module["progress.bar"], module.progress = taskclient.progress.bar, nil
  local linkis_new = require "taskclient.linkis".new
  local common = require "taskclient.client".Client
  local common_job = hidden(require "taskclient.job".class, "Job")
  local list = {
    { "taskclient", "taskclient.", module },
    { "Bulk load configs", "taskclient.lindorm.", (require "taskclient.lindorm.config") },
    { "Clients", "client:", common, meta.Client },
    { "Linkis clients", "linkis:", hidden(linkis_new, "client_class"), less = common },
    { "Lindorm clients", "lindorm:", hidden(require "taskclient.lindorm".new, "client_class"),
      less = common },
    { "Jobs", "job:", common_job },
    { "Linkis jobs", "job:", hidden(linkis_new, "job_class"), less = common_job },
    { "Lindorm jobs", "job:", hidden(require "taskclient.lindorm.job".new, "class"),
      less = common_job },
    { "Log cursors", "cursor:", index_of(job:logs()) },
    { "Result sets", "rs:", set },
    { "Row cursors", "cursor:", hidden(set.rows, "Rows") },
    { "Job history cursors", "cursor:", index_of(linkis:list()) },
    { "as_completed cursors", "cursor:", index_of(taskclient.as_completed {}) },
    { "submit_many cursors", "cursor:", index_of(linkis:submit_many {}) },
    { "Runs", "run:", hidden(taskclient.journal, "Run") },
    { "Tasks", "task:", hidden(taskclient.join, "Task") },
    { "Limits", "limit:", index_of(taskclient.limit(1)) },
    { "Progress bars", "bar:", index_of(taskclient.progress.bar()) },
    { "Calls", "call:", meta.Call },
    { "The sandbox", 'require("taskclient.sandbox").', (require "taskclient.sandbox") },
    { "A running sandbox", "sandbox:", hidden(require "taskclient.sandbox".start, "Sandbox") },
  }
  linkis:close()
  return list
end

-- Reading annotations ---------------------------------------------------------------------

local files = {} -- path -> lines

local function lines_of(path)
  if not files[path] then
    local lines = {}
    for line in io.lines(path) do lines[#lines + 1] = line end
    files[path] = lines
  end
  return files[path]
end

-- A type may hold blanks within brackets and after ':' and '|': fun(a: b): c.
local function split_type(text)
  local depth, at = 0, 1
  while at <= #text do
    local c = text:sub(at, at)
    if c:find "[%(%[{<]" then depth = depth + 1 end
    if c:find "[%)%]}>]" then depth = depth - 1 end
    if c == " " and depth == 0 and not text:sub(1, at - 1):find "[:|,]$" then break end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at + 1)
end

local function read_tag(block, tag, rest)
  local entry = {}
  if tag == "param" or tag == "field" then
    entry.name, rest = rest:match "^(%S+)%s+(.*)$"
    entry.type, entry.text = split_type(rest)
    block[tag .. "s"][#block[tag .. "s"] + 1] = entry
  elseif tag == "return" then
    entry.type, rest = split_type(rest)
    entry.name, entry.text = rest:match "^(%S*)%s*(.*)$"
    block.returns[#block.returns + 1] = entry
  elseif tag == "class" then
    block.class, block.parent = rest:match "^([%w_.]+):?%s*([%w_.]*)"
  else
    block[tag] = true
  end
  return entry
end

-- The block of --- lines that ends before the given line.
local function block_before(lines, at)
  local first = at
  while first > 1 and lines[first - 1]:find "^%-%-%-" do first = first - 1 end
  local block, entry = { text = {}, params = {}, returns = {}, fields = {}, line = first }, nil
  for n = first, at - 1 do
    local tag, rest = lines[n]:match "^%-%-%-@(%a+)%s*(.*)$"
    local words = lines[n]:match "^%-%-%-%s*(.*)$"
    if tag then
      entry = read_tag(block, tag, rest)
    elseif entry then
      entry.text = (entry.text and entry.text ~= "" and entry.text .. " " or "") .. words
    else
      block.text[#block.text + 1] = words
    end
  end
  block.text = table.concat(block.text, "\n")
  return block
end

local function parameters(fn)
  local names, info = {}, debug.getinfo(fn, "u")
  for i = 1, info.nparams do names[i] = debug.getlocal(fn, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return names
end

local function describe(name, fn, prefix)
  local info = debug.getinfo(fn, "S")
  local path = info.source:gsub("^@%./", ""):gsub("^@", "")
  local block = block_before(lines_of(path), info.linedefined)
  local names = parameters(fn)
  if names[1] == "self" or names[1] == "_" then table.remove(names, 1) end
  -- functions of a module that stand in for methods name their object first
  local own = prefix:match "^(%a+):$"
  if own and names[1] == own then table.remove(names, 1) end
  block.name, block.names = name, names
  block.place = ("%s:%d"):format(path, info.linedefined)
  block.source = table.concat(lines_of(path), "\n", info.linedefined, info.lastlinedefined)
  return block
end

local function by_place(a, b)
  if a.place == b.place then return a.name < b.name end
  local one, two = a.place:match "^(.-):", b.place:match "^(.-):"
  if one ~= two then return a.place < b.place end
  return tonumber(a.place:match "%d+$") < tonumber(b.place:match "%d+$")
end

local function functions_of(row)
  local list, seen = {}, {}
  for i = 3, 4 do
    for name, value in pairs(row[i] or {}) do
      local known = row.less and row.less[name] == value or seen[name]
      if type(value) == "function" and not name:find "^__" and not known then
        seen[name] = true
        list[#list + 1] = describe(name, value, row[2])
      end
    end
  end
  table.sort(list, by_place)
  return list
end

--- The sections of the surface: {title=, prefix=, functions=}.
---@return table[]
function M.sections()
  local list = {}
  for i, row in ipairs(tables()) do
    assert(type(row[3]) == "table", "no table for " .. row[1])
    list[i] = { title = row[1], prefix = row[2], functions = functions_of(row) }
  end
  return list
end

--- The option classes: name -> {text=, fields=, parent=}.
---@return table<string, table>
function M.classes()
  local classes = {}
  for path in io.popen "find lua/taskclient -name '*.lua' | sort":lines() do
    local lines = lines_of(path)
    for n = 2, #lines + 1 do
      if lines[n - 1]:find "^%-%-%-" and not (lines[n] or ""):find "^%-%-%-" then
        local block = block_before(lines, n)
        if block.class and #block.fields > 0 then classes[block.class] = block end
      end
    end
  end
  return classes
end

return M
