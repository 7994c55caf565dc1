#[test] fn dump(){ println!("{}", serin_api::crds_yaml().unwrap()); }
