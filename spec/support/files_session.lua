-- What runs while files cannot be written, or is killed while it writes one
-- (spec/fault/files_spec.lua): every public way to a file, one after the other.
-- Says in a line each its name and the rows or bytes written, or the err.
-- Arguments: URL of the fault server, folder for a run, path of the files, one way's name or none.

local url, folder, path, only = ...

local taskclient = require "taskclient"

local client = assert(taskclient.linkis { url = url, user = "u", token = "t" })
local job = client:attach(12)
local sets = assert(job:results())
local run = assert(taskclient.journal(folder .. "/files.run"))
for i = 1, only and 0 or 400 do
  run:step("a step with a long name " .. i, function() return i end)
end

local function anew(format) return { format = format, overwrite = true } end

local WAYS = {
  { "save csv", function() return sets[1]:save(path, anew "csv") end },
  { "save jsonl", function() return sets[1]:save(path, anew "jsonl") end },
  { "save text", function() return sets[2]:save(path, anew()) end },
  { "export csv", function() return sets[1]:export(path, anew "csv") end },
  { "export xlsx", function() return sets[1]:export(path, anew "xlsx") end },
  { "export job", function() return job:export(path, anew()) end },
  { "call", function()
    return client:call("resultsetToExcel", { path = "/a" }, { file = path, overwrite = true })
  end },
  { "html", function() return run:html(path) end },
  { "svg", function() return run:svg(path) end },
}

for _, way in ipairs(WAYS) do
  if not only or only == way[1] then
    local ok, err = way[2]()
    print(way[1], ok and "written" or err.kind, ok and tostring(ok) or err.message)
  end
end
