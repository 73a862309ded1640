-- Runs spec files without busted: where a test body may have to yield (a task,
-- a light thread of nginx), and under any Lua. Knows describe, it, setup and
-- teardown, before_each and after_each, pending, and the asserts in use.

local M = {}

local load_text = _VERSION == "Lua 5.1" and function(text, name, env)
  local chunk, why = loadstring(text, name) -- luacheck: ignore 113
  if chunk then setfenv(chunk, env) end -- luacheck: ignore 113
  return chunk, why
end or function(text, name, env) return load(text, name, "t", env) end

-- ---- asserts ---------------------------------------------------------------

local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for name, item in pairs(value) do parts[#parts + 1] = tostring(name) .. "=" .. show(item) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for name, value in pairs(a) do if not same(value, b[name]) then return false end end
  for name in pairs(b) do if a[name] == nil then return false end end
  return true
end

local function check(ok, what, ...)
  if ok then return true end
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = show((select(i, ...))) end
  error(what .. ": " .. table.concat(parts, " | "), 3)
end

local function make_assert()
  local is = {
    equal = function(a, b, why) return check(a == b, why or "not equal", a, b) end,
    same = function(a, b, why) return check(same(a, b), why or "not the same", a, b) end,
    is_true = function(a, why) return check(a == true, why or "not true", a) end,
    is_false = function(a, why) return check(a == false, why or "not false", a) end,
    is_nil = function(a, why) return check(a == nil, why or "not nil", a) end,
    is_not_nil = function(a, why) return check(a ~= nil, why or "nil") end,
    is_truthy = function(a, why) return check(a, why or "not truthy", a) end,
    is_falsy = function(a, why) return check(not a, why or "not falsy", a) end,
    not_equals = function(a, b) return check(a ~= b, "equal", a) end,
    matches = function(p, s, ...) return check(tostring(s):find(p, ...), "no match", p, s) end,
    has_error = function(fn) return check(not pcall(fn), "did not raise") end,
    has_no_error = function(fn)
      local ok, why = pcall(fn)
      return check(ok, "raised", why)
    end,
  }
  for _, name in ipairs { "string", "number", "table", "function", "boolean" } do
    is["is_" .. name] = function(a) return check(type(a) == name, "no " .. name, a) end
  end
  is.equals, is.truthy, is.falsy = is.equal, is.is_truthy, is.is_falsy
  is.are = { equal = is.equal, same = is.same, equals = is.equal }
  is.are_not = { equal = is.not_equals }
  is.is, is.has = is.are, { error = is.has_error }
  return setmetatable(is, { __call = function(_, value, why, ...)
    if not value and type(why) == "table" then error(tostring(why), 2) end -- not told by Lua 5.1's
    return assert(value, why, ...)
  end })
end

-- ---- a file's cases --------------------------------------------------------

local PENDING = {}

local function block(outer, name)
  return { outer = outer, name = name and (outer.name and outer.name .. " " or "") .. name,
    setup = {}, teardown = {}, before_each = {}, after_each = {}, items = {} }
end

local function environment(root)
  local here = root
  local env = setmetatable({ assert = make_assert() }, { __index = _G })
  function env.describe(name, fn)
    local inner = block(here, name)
    here.items[#here.items + 1] = inner
    here = inner
    fn()
    here = inner.outer
  end
  function env.it(name, fn)
    local full = (here.name and here.name .. " " or "") .. name
    here.items[#here.items + 1] = { name = full, run = fn }
  end
  function env.finally(fn) root.finally = fn end
  function env.pending(why) error(setmetatable({ why = why }, PENDING), 0) end
  for _, kind in ipairs { "setup", "teardown", "before_each", "after_each" } do
    env[kind] = function(fn) table.insert(here[kind], fn) end
  end
  return env
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function each(list, from_outer, kind)
  local outer = list.outer
  if from_outer and outer then each(outer, true, kind) end
  for _, fn in ipairs(list[kind]) do fn() end
  if not from_outer and outer then each(outer, false, kind) end
end

-- ---- running ---------------------------------------------------------------

-- A pcall that can be waited in; Lua 5.1 has none: there the host tells.
local yieldable = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

local function traced(why)
  return type(why) == "string" and debug.traceback(why, 2) or why
end

-- Runs fn by the host: ok, why. In Lua 5.1 an error ends the host's thread.
local function attempt(inside, fn)
  local ended, ok, why
  local host_ok, host_why = inside(function()
    if yieldable then
      ok, why = xpcall(fn, traced)
    else
      fn()
      ok = true
    end
    ended = true
  end)
  if not ended then return false, host_ok and "it never ended" or host_why end
  return ok, why
end

local function note(sum, name, why)
  sum.failed = sum.failed + 1
  sum.notes[#sum.notes + 1] = name .. "\n    " .. (tostring(why):gsub("\n", "\n    "))
end

-- In Lua 5.1 nothing can wait inside of a for's iterator: no fault of a host.
local function cannot_be(why)
  return getmetatable(why) == PENDING or not yieldable
    and tostring(why):find("attempt to yield across metamethod/C-call boundary", 1, true)
end

local function clean(outer, root)
  local finally = root.finally
  root.finally = nil
  if finally then finally() end
  each(outer, false, "after_each")
end

local function run_case(case, outer, root, sum, inside)
  local ok, why = attempt(inside, function()
    each(outer, true, "before_each")
    case.run()
  end)
  local cleaned, trouble = attempt(inside, function() clean(outer, root) end)
  if not ok and cannot_be(why) then
    sum.skipped = sum.skipped + 1
  elseif not ok or not cleaned then
    note(sum, case.name, not ok and why or trouble)
  else
    sum.passed = sum.passed + 1
  end
end

local function hook(list, kind, sum, inside)
  local ok, why = attempt(inside, function()
    for _, fn in ipairs(list[kind]) do fn() end
  end)
  if not ok then note(sum, kind .. " of " .. (list.name or "the file"), why) end
  return ok
end

local function run_block(list, root, sum, inside, skip)
  if hook(list, "setup", sum, inside) then
    for _, item in ipairs(list.items) do
      if item.items then
        run_block(item, root, sum, inside, skip)
      elseif not (skip and skip(item.name)) then
        run_case(item, list, root, sum, inside)
      end
    end
  end
  hook(list, "teardown", sum, inside)
end

---Runs the cases of some spec files.
---@param paths string[]
---@param inside fun(fn: function): boolean, any runs fn in the host to its end
---@param skip? fun(name: string): boolean cases that are not for here
---@return table sum passed, failed, skipped; notes: what failed
function M.run(paths, inside, skip)
  local sum = { passed = 0, failed = 0, skipped = 0, notes = {} }
  for _, path in ipairs(paths) do
    local root = block(nil)
    assert(load_text(read(path), "@" .. path, environment(root)))()
    run_block(root, root, sum, inside, skip)
  end
  return sum
end

return M
