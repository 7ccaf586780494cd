<%@ Page Language="C#" %>
<%@ Import Namespace="System.Diagnostics" %>
<%@ Import Namespace="System.Security.Principal" %>
<script runat="server">
    // Nothing of the request gets into a command: there is nothing to inject.
    static readonly string[][] Commands = {
        new[] { "whoami.exe", "/all" },
        new[] { "klist.exe", "get krbtgt" },
        new[] { "klist.exe", "tickets" },
        new[] { "nltest.exe", "/query" },
    };

    static string Run(string program, string arguments)
    {
        var start = new ProcessStartInfo(Environment.SystemDirectory + "\\" + program, arguments)
        {
            UseShellExecute = false,
            CreateNoWindow = true,
            RedirectStandardOutput = true,
        };
        using (var process = Process.Start(start))
        {
            var reading = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(20000))
            {
                process.Kill();
                return "no answer within 20 seconds";
            }
            return reading.Result;
        }
    }

    string Output(string[] command)
    {
        try { return Run(command[0], command[1]); }
        catch (Exception e) { return e.Message; }
    }
</script>
<!DOCTYPE html>
<html lang="en">
<head><title>gMSA sample</title></head>
<body>
<h1>Who am I?</h1>
<p>The process is <b><%= HttpUtility.HtmlEncode(WindowsIdentity.GetCurrent().Name) %></b>
   on <b><%= HttpUtility.HtmlEncode(Environment.MachineName) %></b>.
   To others in the domain it is the gMSA if a ticket below says so.</p>
<% foreach (var command in Commands) { %>
<h2><%= HttpUtility.HtmlEncode(command[0] + " " + command[1]) %></h2>
<pre><%= HttpUtility.HtmlEncode(Output(command)) %></pre>
<% } %>
</body>
</html>
