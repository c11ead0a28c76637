//! `lockstep recovery`: what happens and what to do when the ERP, Shopify or lockstep is down.

use clap::Args;

use super::failure::Failure;
use super::{Context, mappings, opened, the_shop};
use crate::app::recovery::recovery;
use crate::domain::ShopName;

/// Tell what happens and what to do when the ERP, Shopify or lockstep is down for an hour, a day or a weekend.
///
/// What would wait and how long it takes to work it off is reckoned from what was measured here; what is tried again, and which
/// run closes the gap, from the configuration. Markdown, or JSON with `--json`. Asks neither system and changes nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    if let Some(shop) = &arguments.shop {
        the_shop(&config, Some(shop))?;
    }
    let mappings = mappings::of_config(&config)?;
    let (store, clock) = opened(&config).await?;
    let plan = recovery(&config, &mappings, &store, arguments.shop.as_ref(), clock.now()).await;
    store.close().await;
    let plan = plan?;
    if context.output.json {
        return context.output.document(&plan);
    }
    context.output.line(plan.markdown().trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use clap::Parser as _;

    use crate::app::recovery::recovery;
    use crate::config::Config;
    use crate::domain::{ManualClock, Timestamp};
    use crate::store::testing::open_temp;

    #[tokio::test]
    async fn every_command_of_a_plan_is_one() {
        let text = "[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 't'\nwebhook_secrets = ['s']\n[shops.main.odoo]\n\
                    url = 'http://127.0.0.1:9'\ndatabase = 'd'\nlogin = 'l'\napi_key = 'k'\n[shops.main.sync]\n\
                    products = { in = 'on', out = 'on' }\n";
        let config = Config::parse(text, Path::new("/nowhere/lockstep.toml"), &|_| None)
            .unwrap_or_else(|error| panic!("{error}"));
        let now = Timestamp::from_millis(1_795_608_000_000);
        let (_folder, store) = open_temp(Arc::new(ManualClock::new(now))).await;
        let mappings = crate::app::mappings::load(None).unwrap();
        let plan = recovery(&config, &mappings, &store, None, now).await.unwrap();
        let steps = plan.shops.iter().flat_map(|shop| &shop.outages);
        let commands: Vec<&String> = steps
            .flat_map(|outage| &outage.to_do)
            .filter_map(|step| step.command.as_ref())
            .collect();
        assert!(commands.len() > 9, "{commands:?}");
        for command in commands {
            let parsed = super::super::Arguments::try_parse_from(command.split(' '));
            assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
        }
    }
}
