-- Callbacks instead of waits: two operations asked for at once, their answers
-- by functions.  Environment as in luv-jobs.lua.

local uv = require "luv"
local taskclient = require "taskclient"

local client = assert(taskclient.linkis { host = "luv" })

-- Calls `callback(result, err)` from the loop when the operation has ended.
local function ask(operation, args, callback)
  coroutine.wrap(function() callback(client:call(operation, args)) end)()
end

ask("userInfo", {}, function(data, err)
  print(data and "user " .. data.userName or tostring(err))
end)
ask("list", { pageSize = 5 }, function(data, err)
  print(data and "at most 5 tasks: " .. tostring(#data.tasks <= 5) or tostring(err))
end)
print "asked; the loop goes on"
uv.run()
