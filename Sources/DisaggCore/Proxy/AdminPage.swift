/// The live page of the admin listener: one document without anything to load, that asks `/admin/v1/status` every second.
///
/// All text from outside is put in as text, never as markup.
enum AdminPage {
    /// What a browser may do for the page: its own style and script, and requests to where it came from.
    static let contentSecurityPolicy =
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    static let html = """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>disagg-proxy</title>
        <style>\(style)</style>
        </head>
        <body>
        <header>
          <h1>disagg<span>-proxy</span></h1>
          <p id="about" class="muted"></p>
          <p id="health" class="pill" role="status">loading</p>
        </header>
        <form id="login" hidden>
          <label for="token">Admin token</label>
          <input id="token" type="password" autocomplete="off" spellcheck="false">
          <button>Show</button>
          <span id="wrong" class="bad"></span>
        </form>
        <p id="notice" class="notice" hidden></p>
        <main id="main" hidden>
          <section id="tiles" aria-label="Now"></section>
          <div class="columns">
            <section class="card">
              <h2>Time to the first token <small id="span" class="muted"></small></h2>
              <div id="stages"></div>
            </section>
            <section class="card">
              <h2>Traffic <small class="muted">last 2 min</small></h2>
              <div id="traffic"></div>
            </section>
          </div>
          <section class="card"><h2>Prefill pool</h2><div id="prefill" class="scroll"></div></section>
          <section class="card"><h2>Decode pool</h2><div id="decode" class="scroll"></div></section>
          <section class="card">
            <h2>Recent decisions</h2>
            <div id="decisions" class="scroll"></div>
          </section>
          <footer class="muted"><span id="reload"></span>
            <span><a href="/metrics">metrics</a> · API: /admin/v1/status</span></footer>
        </main>
        <script>\(script)</script>
        </body>
        </html>
        """
}
