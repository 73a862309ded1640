-- busted output for people: a line per file, failures in full where they
-- happen, and in the file TASKCLIENT_SUM names the sum and what has failed.

local busted = require "busted"
local base = require "busted.outputHandlers.base"
local pretty = require "pl.pretty"
local clock = require("system").monotime

local function text_of(message)
  if message == nil then return "nil error" end
  if type(message) == "string" then return message end
  local mt = getmetatable(message)
  if mt and mt.__tostring then return tostring(message) end
  return pretty.write(message)
end

local function place(record)
  local trace = record.trace or record.element.trace or {}
  return ("%s:%s"):format(trace.short_src or "?", trace.currentline or "?")
end

return function()
  local handler = base()
  local total = { passed = 0, failed = 0, skipped = 0 }
  local file
  local failures = {}

  local function begin(name)
    file = { name = name, passed = 0, failed = 0, skipped = 0, started = clock(), notes = {} }
  end
  begin "(outside files)"

  local function note(...)
    file.notes[#file.notes + 1] = string.format(...)
  end

  local function fail(record)
    file.failed = file.failed + 1
    failures[#failures + 1] = file.name .. ": " .. record.name
    note("  FAILED %s\n    %s\n    %s", record.name, place(record),
      (text_of(record.message):gsub("\n", "\n    ")))
    local traceback = record.isError and record.trace and record.trace.traceback
    if traceback then note("    %s", (traceback:gsub("^%s*\n", ""):gsub("\n", "\n    "))) end
  end

  local function finish()
    local n = file.passed + file.failed + file.skipped
    if n > 0 then
      io.write(("%-6s %4d  %s (%.1f s)%s\n"):format(file.failed > 0 and "FAILED" or "ok", n,
        file.name, clock() - file.started,
        file.skipped > 0 and ", " .. file.skipped .. " skipped" or ""))
      for _, line in ipairs(file.notes) do io.write(line, "\n") end
      io.flush()
    end
    for key in pairs(total) do total[key] = total[key] + file[key] end
    begin "(outside files)"
  end

  local function file_start(element)
    begin((element.name or "?"):gsub("^%./", ""))
    return nil, true
  end

  local function file_end()
    finish()
    return nil, true
  end

  local function test_end(_, _, status)
    if status == "success" then
      file.passed = file.passed + 1
    elseif status == "pending" then
      local record = handler.pendings[#handler.pendings]
      file.skipped = file.skipped + 1
      note("  skipped %s%s", record.name, record.message and ": " .. text_of(record.message) or "")
    elseif status == "failure" then
      fail(handler.failures[#handler.failures])
    else
      fail(handler.errors[#handler.errors])
    end
    return nil, true
  end

  -- an error outside a test: a file that does not load, a setup that fails
  local function other(element)
    if element.descriptor ~= "it" then fail(handler.errors[#handler.errors]) end
    return nil, true
  end

  local function suite_end()
    finish()
    local path = os.getenv "TASKCLIENT_SUM"
    if path then
      local sum = assert(io.open(path, "w"))
      sum:write(("%d %d %d\n"):format(total.passed, total.failed, total.skipped))
      for _, name in ipairs(failures) do sum:write(name, "\n") end
      sum:close()
    end
    return nil, true
  end

  busted.subscribe({ "file", "start" }, file_start)
  busted.subscribe({ "file", "end" }, file_end)
  busted.subscribe({ "test", "end" }, test_end, { predicate = handler.cancelOnPending })
  busted.subscribe({ "error" }, other)
  busted.subscribe({ "failure" }, other)
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
