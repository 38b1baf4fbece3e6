extension AdminPage {
    /// The page's style; colours follow the system's light or dark appearance.
    static let style = """
        :root{--bg:#f6f7f9;--card:#fff;--line:#e3e6ea;--text:#1c2430;--muted:#647084;--accent:#2f6fde;--good:#1a7f4b;
        --warn:#9a6200;--bad:#c02b2b;--good-bg:#e2f4ea;--warn-bg:#fdf0d5;--bad-bg:#fbe4e4;--queue:#9aa5b5;--prefill:#2f6fde;
        --handoff:#d08700;--decode_first_byte:#16946c;--proxy:#8b5cd6}
        @media (prefers-color-scheme:dark){:root{--bg:#11151b;--card:#191f27;--line:#2a323d;--text:#e4e9f0;--muted:#93a0b3;
        --accent:#6ea3ff;--good:#5bd197;--warn:#f0b95a;--bad:#ff8585;--good-bg:#12301f;--warn-bg:#36290f;--bad-bg:#3a1a1a;
        --prefill:#5b94f7;--handoff:#e0a030;--decode_first_byte:#34b98c;--proxy:#a988ea}}
        *{box-sizing:border-box}
        body{margin:0 auto;max-width:1400px;padding:20px 24px 32px;background:var(--bg);color:var(--text);
        font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
        header{display:flex;align-items:center;gap:14px;margin-bottom:16px;flex-wrap:wrap}
        h1{font-size:20px;margin:0;letter-spacing:-.02em}h1 span{color:var(--muted);font-weight:500}
        h2{font-size:14px;margin:0 0 10px;font-weight:600}h2 small{font-weight:400;font-size:12px;margin-left:6px}
        header p{margin:0}#about{flex:1;min-width:200px}
        .muted{color:var(--muted)}.bad{color:var(--bad)}.warn{color:var(--warn)}
        .pill{display:inline-block;padding:1px 9px;border-radius:99px;font-size:12px;font-weight:600;white-space:nowrap;
        background:var(--line);color:var(--muted)}
        .pill.up{background:var(--good-bg);color:var(--good)}.pill.draining,.pill.drained{background:var(--warn-bg);color:var(--warn)}
        .pill.down{background:var(--bad-bg);color:var(--bad)}
        .notice{padding:9px 14px;border-radius:8px;background:var(--warn-bg);color:var(--warn);white-space:pre-wrap;
        overflow-wrap:anywhere;margin:0 0 14px}
        .card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;margin-bottom:14px;min-width:0}
        #tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:10px;margin-bottom:14px}
        .tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:11px 14px}
        .tile b{display:block;font-size:22px;line-height:1.25;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
        .tile b small{font-size:13px;font-weight:500;color:var(--muted);margin-left:2px}
        .tile span{font-size:12px;color:var(--muted)}
        .columns{display:grid;grid-template-columns:3fr 2fr;gap:14px}
        .stage{display:grid;grid-template-columns:150px 1fr 86px 86px;gap:10px;align-items:center;padding:4px 0}
        .stage .track{height:10px;border-radius:5px;background:var(--line);overflow:hidden;display:flex}
        .stage .track i{display:block;height:100%;border-radius:5px}
        .stage .num{text-align:right}
        .stage.head{color:var(--muted);font-size:12px;padding-bottom:2px}
        .stage .dot{display:inline-block;width:8px;height:8px;border-radius:2px;margin-right:7px}
        .num{font-variant-numeric:tabular-nums}
        .scroll{overflow-x:auto}
        table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
        th{font-size:12px;font-weight:500;color:var(--muted);text-align:left;padding:0 12px 6px 0;white-space:nowrap}
        td{padding:6px 12px 6px 0;border-top:1px solid var(--line);white-space:nowrap;vertical-align:middle}
        th.n,td.n{text-align:right}th:last-child,td:last-child{padding-right:0}
        td .sub{display:block;font-size:12px;color:var(--muted)}td .sub.warn{color:var(--warn)}
        th+th,td+td{padding-left:10px}
        .bar{display:inline-block;vertical-align:middle;width:72px;height:6px;border-radius:3px;background:var(--line);
        margin-right:8px;overflow:hidden}
        .bar i{display:block;height:100%;background:var(--accent)}.bar.full i{background:var(--warn)}
        code{font:12px ui-monospace,SFMono-Regular,Menlo,"Liberation Mono",monospace}
        .chart+.chart{margin-top:12px}
        .chart svg{display:block;width:100%;height:48px}
        .chart p{margin:0 0 2px;display:flex;justify-content:space-between;font-size:12px;color:var(--muted)}
        .chart p b{color:var(--text);font-weight:600;font-variant-numeric:tabular-nums}
        form{display:flex;gap:10px;align-items:center;flex-wrap:wrap;margin:0 0 14px}form[hidden]{display:none}
        input,button{font:inherit;padding:6px 10px;border-radius:7px;border:1px solid var(--line);background:var(--card);color:inherit}
        button{background:var(--accent);border-color:var(--accent);color:#fff;cursor:pointer}
        footer{display:flex;justify-content:space-between;gap:12px;font-size:12px;flex-wrap:wrap}a{color:var(--accent)}
        @media (max-width:900px){.columns{grid-template-columns:1fr;gap:0}}
        @media (max-width:640px){body{padding:14px 12px 24px}.w{display:none}.bar{width:36px;margin-right:6px}
        th,td{padding-right:8px}th+th,td+td{padding-left:0}
        #tiles{grid-template-columns:repeat(2,1fr)}.tile b{font-size:19px}#about{order:3;flex-basis:100%}
        .stage{grid-template-columns:130px 1fr 60px 60px;gap:8px}header{justify-content:space-between}}
        """
}
